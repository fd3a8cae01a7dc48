"""What a decoder on a device answers to a stream, beside what the codec itself does."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slashbench.codecs import cuda
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream
from tests.helpers import stream_mutator

OF_INTEGERS, OF_FLOATS = ("huffman", "rans"), ("float-huffman", "float-rans")

_GOLDEN = Path(__file__).parents[1] / "golden"


def golden(codec: str) -> dict[str, bytes]:
    """The golden streams of a codec by name, those of version 1 too."""
    cases = runpy.run_path(str(_GOLDEN / "make.py"))["CASES"]
    names = [name for name, (of, _, _) in cases.items() if of == codec]
    found = {name: (_GOLDEN / "streams" / f"{name}.bin").read_bytes() for name in names}
    old = sorted((_GOLDEN / "version1").glob(f"{codec}.*.bin"))
    return found | {f"version1 {path.stem}": path.read_bytes() for path in old}


def answer(decode: Callable[[bytes], Any], stream: bytes) -> Any:
    """(dtype, shape, bytes in C order), or None for a refusal."""
    try:
        found = decode(stream)
    except CorruptStream:
        return None
    if isinstance(found, torch.Tensor):
        assert found.is_contiguous()
        name, flat = str(found.dtype).removeprefix("torch."), found.reshape(-1).cpu()
        data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        return name, tuple(found.shape), data
    return found.dtype.name, found.shape, found.astype(found.dtype.newbyteorder("=")).tobytes("C")


def same(codec: str, stream: bytes) -> bool:
    """Assert that device and codec agree; whether they found a tensor."""
    expected = answer(CODECS.get(codec)().decode, stream)
    assert answer(lambda data: cuda.decode(data, codec), stream) == expected
    return expected is not None


def integers(n: int, seed: int = 0) -> Any:
    """Bell-shaped whole numbers."""
    return np.rint(np.random.default_rng(seed).laplace(0, 3, n))


def weights(n: int, dtype: Any) -> Any:
    """Bell-shaped floats, some of them beyond the window of exponents."""
    found = np.random.default_rng(n).normal(0, 0.02, n).astype(np.float32)
    found[n // 2 :: 97] = 1e30
    with np.errstate(over="ignore"):
        return found.astype(dtype)


def of_length(codec: str, n: int) -> bytes:
    """A stream of so many values."""
    values = integers(n, n).astype(np.int16) if codec in OF_INTEGERS else weights(n, np.float32)
    return bytes(CODECS.get(codec)().encode(values))


def forged(codec: str, count: int, seed: int, most: int) -> list[bool]:
    """Whether each of so many damaged streams decodes; `most`: values of the streams they were."""
    originals = [
        stream
        for stream in stream_mutator.seeds(CODECS.get(codec)())
        if np.prod(stream.shape) <= most
    ]
    rng = np.random.default_rng(seed)
    token = frame.decode_limit.set(4 * most)
    try:
        return [same(codec, stream_mutator.mutant(rng, originals)) for _ in range(count)]
    finally:
        frame.decode_limit.reset(token)
