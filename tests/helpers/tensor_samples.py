"""Checkpoints that the tests of compressed files share."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from slashbench.bench.checkpoint import convert, encoder, plain_header, sources
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.codecs.base import TensorCodec
from slashbench.contracts import Quantized
from slashbench.link import Link, only
from slashbench.trainers.catalog import QUANTISERS


def of_every_dtype() -> dict[str, torch.Tensor]:
    """A tensor of each dtype that PyTorch and safetensors share, some of two shapes."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(120, 100, generator=generator) * 0.02
    wide[3, 5] = float("nan")
    bits = torch.randint(-(2**31), 2**31 - 1, (60, 60), generator=generator, dtype=torch.int64)
    return {
        "F32": wide,
        "F32 every bit pattern": bits.int().view(torch.float32),  # NaN payloads and all
        "BF16": wide.bfloat16(),
        "BF16 every bit pattern": torch.arange(-(2**15), 2**15).short().view(torch.bfloat16),
        "F16": wide.half(),
        "F64": wide.double(),
        "C64": torch.complex(wide, wide.flip(0)),
        "F8_E4M3": wide.to(torch.float8_e4m3fn),
        "F8_E5M2": wide.to(torch.float8_e5m2),
        "F8_E8M0": (wide.abs() + 1).to(torch.float8_e8m0fnu),
        "F8_E4M3FNUZ": wide.to(torch.float8_e4m3fnuz),
        "F8_E5M2FNUZ": wide.to(torch.float8_e5m2fnuz),
        "F4": torch.arange(6000).to(torch.uint8).reshape(60, 100).view(torch.float4_e2m1fn_x2),
        "I8": (wide.nan_to_num() * 900).char(),
        "I16": (wide.nan_to_num() * 9000).short(),
        "I32": (wide.nan_to_num() * 90000).int(),
        "I64": torch.arange(3000),
        "I64 every bit pattern": bits * 2**31 + bits.flip(1),
        "U8": torch.arange(6000).to(torch.uint8),
        "U16": torch.arange(6000).to(torch.uint16),
        "U32": torch.arange(6000).to(torch.uint32),
        "U64": torch.arange(6000).to(torch.uint64),
        "BOOL": wide > 0,
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(4, 0, 3),
        "deep": torch.arange(4096, dtype=torch.float32).reshape([2] * 12),
    }


def raw(tensor: torch.Tensor) -> bytes:
    """The bytes of a tensor's values, in order."""
    flat = tensor.contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1,))  # of one value, the stride may be anything
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def plain_file(header: dict[str, Any], data: bytes, pad: int = 0) -> bytes:
    """A safetensors file with whatever header, spelled as Python does."""
    text = json.dumps(header).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + data


def compressed(tensors: dict[str, np.ndarray], how: Coding | None = None) -> bytes:
    """A small compressed file in which nothing is too small to be coded."""
    kinds = {name: (plain_header.NAMES[a.dtype], a.shape) for name, a in tensors.items()}
    source = Source(
        plain_header.compose(kinds, {"from": "a test"}),
        lambda name: np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8),
    )
    usual, encoder.SMALL = encoder.SMALL, 64
    file = io.BytesIO()
    try:
        convert.compress(file, source, how or Coding.of(None, None))
    finally:
        encoder.SMALL = usual
    return file.getvalue()


def compressed_as(
    coded: Mapping[str, Quantized],
    stored: Mapping[str, np.ndarray],
    codec: Link[TensorCodec],
    aliases: Mapping[str, str] | None = None,
) -> bytes:
    """A compressed file of tensors that are quantized already, and of others that stay as they are.

    A grid need not fit its values: nothing is dequantized here.
    """
    arrays = {
        name: np.zeros(q.values.shape, np.float32) if q.grid is not None else q.values
        for name, q in coded.items()
    } | dict(stored)
    kinds = {name: (plain_header.NAMES[a.dtype], a.shape) for name, a in arrays.items()}
    source = Source(
        plain_header.compose(kinds, {sources.ALIASES: json.dumps(dict(aliases or {}))}),
        lambda name: np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8),
    )
    file = io.BytesIO()
    lossless = all(q.grid is None for q in coded.values())
    quantiser = only(QUANTISERS, "native" if lossless else "quantize")
    convert.compress(file, source, Coding.of_quantized(codec, quantiser, coded), copies={})
    return file.getvalue()
