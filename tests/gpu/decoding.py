"""Decoders on a GPU: whether they are right, and how fast they are."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import torch

from slashbench import parallel
from slashbench.codecs import cuda
from slashbench.codecs.catalog import CODECS
from tests.helpers import decoder_answers

_FORGED = 300
_MOST = 5000  # values of a stream that is damaged
_TIMES = 5
_BLOCK = 1 << 22  # values that are drawn; a larger tensor repeats them

Case = Callable[[str], dict[str, Any]]


def exactness() -> dict[str, Case]:
    """One case a codec."""
    return {f"exact {name}": partial(_exact, name) for name in cuda.DECODED_HERE}


def _exact(name: str, device: str) -> dict[str, Any]:
    golden = decoder_answers.golden(name)
    for stream in golden.values():
        assert decoder_answers.same(name, stream)
    for n in range(301):
        assert decoder_answers.same(name, decoder_answers.of_length(name, n)), n
    accepted = sum(decoder_answers.forged(name, _FORGED, 3, _MOST))
    return {"golden": len(golden), "lengths": 301, "damaged": _FORGED, "that decode": accepted}


def speeds() -> dict[str, Case]:
    """Small tensors and large ones, of integers and floats."""
    found: dict[str, Case] = {}
    for log2 in (22, 25, 28):
        for name in ("huffman", "rans"):
            for scale, what in ((0.45, "2bits"), (2.2, "4bits")):
                make = partial(_integers, scale)
                found[f"decode {name} {what} 2^{log2}"] = partial(_speed, name, make, 1 << log2)
    for log2 in (22, 25, 27):
        for name in ("float-huffman", "float-rans"):
            for dtype in (ml_dtypes.bfloat16, np.float32):
                make = partial(_weights, dtype)
                title = f"decode {name} {np.dtype(dtype).name} 2^{log2}"
                found[title] = partial(_speed, name, make, 1 << log2)
    return found


def _integers(scale: float, count: int) -> Any:
    block = np.random.default_rng(0).laplace(0, scale, min(count, _BLOCK))
    return np.resize(np.rint(block).astype(np.int8), count)


def _weights(dtype: Any, count: int) -> Any:
    block = np.random.default_rng(0).normal(0, 0.02, min(count, _BLOCK))
    return np.resize(block.astype(np.float32).astype(dtype), count)


def _speed(name: str, make: Callable[[int], Any], count: int, device: str) -> dict[str, Any]:
    """GB/s of the decoded tensor, the median of some runs; the first one, which compiles, apart.

    device: `cpu` tries this code in Numba's simulator, on few values, where no figure counts.
    """
    array = make(count if device != "cpu" else 120)
    codec = CODECS.get(name)()
    stream = codec.encode(array)
    began = time.perf_counter()
    decoded = cuda.decode(stream, name, device)
    first = time.perf_counter() - began
    plain = torch.from_numpy(array.view(f"i{array.itemsize}"))
    on_device = plain.to(device)
    assert torch.equal(decoded.view(on_device.dtype), on_device), "it decodes to something else"
    held, out = cuda.upload(stream, name, device), np.empty_like(array)
    pinned = plain.pin_memory() if device != "cpu" else plain
    wall, events = (_wall, _wall) if device == "cpu" else (_synchronised, _between_events)

    def rate(seconds: float) -> float:
        return float(f"{array.nbytes / seconds / 1e9:.4g}")

    row = {
        "values": array.size,
        "bytes": array.nbytes,
        "bits a value": round(8 * len(stream) / array.size, 4),
        "first_s": round(first, 3),
        "kernels": rate(events(held.decode)),
        "from host": rate(wall(lambda: cuda.decode(stream, name, device))),
        "copy from host": rate(wall(lambda: plain.to(device, copy=True))),
        "copy from pinned": rate(wall(lambda: pinned.to(device, copy=True))),
        "copy on device": rate(events(on_device.clone)),
        "cpu one core": rate(_wall(lambda: codec.decode(stream, out))),
    }
    token = parallel.threads.set(os.cpu_count() or 1)
    try:
        row["cpu all cores"] = rate(_wall(lambda: codec.decode(stream, out)))
    finally:
        parallel.threads.reset(token)
    return row


def _between_events(work: Callable[[], Any]) -> float:
    """Seconds of the device's clock, median."""
    found = []
    for _ in range(_TIMES):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(found)


def _synchronised(work: Callable[[], Any]) -> float:
    """Seconds until the device has done it, median."""

    def until_done() -> None:
        work()
        torch.cuda.synchronize()

    torch.cuda.synchronize()
    return _wall(until_done)


def _wall(work: Callable[[], Any]) -> float:
    """Seconds, median."""
    found = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)
