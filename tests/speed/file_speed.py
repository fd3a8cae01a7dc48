"""Compressed checkpoints beside ZipNN's, zstd's, blosc2's and plain ones, as Markdown.

    python -m tests.speed.file_speed [--rounds N] [--sizes] [minilm-fp32 ...]

Every round does each thing once, one after the other, and every ratio is the median of the rounds'
ratios. What is loaded is read to its last byte, since safetensors maps a file and reads it later.
Ours waits until what it wrote is on the disk; the others don't. Two threads each, on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import safetensors.torch
import torch
import zstandard
from zipnn import ZipNN
from zipnn.util_safetensors import (
    COMPRESSED_DTYPE,
    COMPRESSION_METHOD,
    build_compressed_tensor_info,
    get_compressed_tensors_metadata,
    set_compressed_tensors_metadata,
)

import slashbench
from slashbench.bench.data.base import package_folder
from slashbench.bench.models import minilm

THREADS = 2

Tensors = dict[str, torch.Tensor]


def tensors_of(name: str) -> Tensors:
    """The published checkpoint, each memory once, in the type that the name ends with."""
    model, kind = name.split("-")
    if model == "minilm":
        found = safetensors.torch.load_file(minilm.weights_file())
    else:
        folder = package_folder("antiberty") / "trained_models" / "AntiBERTy_md_smooth"
        found = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    once = {tensor.data_ptr(): name for name, tensor in reversed(found.items())}
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[kind]
    return {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in found.items()
        if once[tensor.data_ptr()] == name
    }


def ours_save(plain: Path, out: Path) -> None:
    """A plain file compressed."""
    slashbench.save_file(safetensors.torch.load_file(plain), out)


def zipnn_save(plain: Path, out: Path) -> None:
    """The same by ZipNN, tensor by tensor, as its tool for safetensors does it."""
    tensors: Tensors = {}
    infos: dict[str, Any] = {}
    with safetensors.safe_open(plain, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            tensors[name] = tensor
            if not tensor.is_floating_point():
                continue
            info = build_compressed_tensor_info(tensor)
            coder = ZipNN(
                input_format="torch",
                bytearray_dtype=tensor.dtype,
                method=COMPRESSION_METHOD,
                threads=THREADS,
            )
            packed = coder.compress(tensor.clone())  # it works in the tensor's own memory
            if len(packed) < tensor.nbytes:
                tensors[name] = torch.frombuffer(packed, dtype=COMPRESSED_DTYPE)
                infos[name] = info
        metadata = file.metadata() or {}
    set_compressed_tensors_metadata(infos, metadata)
    safetensors.torch.save_file(tensors, out, metadata)


def zipnn_load(path: Path) -> Tensors:
    """What `zipnn_save` wrote."""
    tensors = {}
    with safetensors.safe_open(path, "pt") as file:
        packed = get_compressed_tensors_metadata(file.metadata())
        coder = ZipNN(
            input_format="torch",
            bytearray_dtype=COMPRESSED_DTYPE,
            method=COMPRESSION_METHOD,
            threads=THREADS,
        )
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            whole = coder.decompress(tensor.contiguous().numpy()) if name in packed else tensor
            tensors[name] = whole
    return tensors


def read(tensors: Tensors) -> int:
    """Look at every byte."""
    seen = 0
    for tensor in tensors.values():
        raw = _bytes(tensor).numpy()
        whole = raw[: raw.size // 8 * 8].view(np.int64)
        seen |= int(np.bitwise_or.reduce(whole)) if whole.size else int(raw.max(initial=0))
    return seen


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def ratios(times: dict[str, list[float]], ours: str, theirs: str) -> float:
    """How many times as fast, the median over the rounds."""
    return statistics.median(b / a for a, b in zip(times[ours], times[theirs], strict=True))


def speed(plain: Path, folder: Path, rounds: int) -> str:
    """One row of the table of speeds."""
    ours, theirs = folder / "ours.safetensors", folder / "zipnn.safetensors"
    plain_load = safetensors.torch.load_file
    jobs: dict[str, Callable[[], object]] = {
        "save": lambda: ours_save(plain, ours),
        "zipnn save": lambda: zipnn_save(plain, theirs),
        "load": lambda: read(slashbench.load_file(ours)),
        "zipnn load": lambda: read(zipnn_load(theirs)),
        "mapped": lambda: read(plain_load(plain)),
        "pread": lambda: read(plain_load(plain, backend="pread")),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(rounds + 1):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            if round_:  # the first one warms up
                times[name].append(time.perf_counter() - begin)
    found = slashbench.load_file(ours)
    for name, tensor in plain_load(plain).items():
        assert torch.equal(_bytes(found[name]), _bytes(tensor)), name
    cells = [f"{1e3 * statistics.median(times[name]):.1f}" for name in jobs]
    cells += [
        f"{ratios(times, 'save', 'zipnn save'):.2f}",
        f"{ratios(times, 'load', 'zipnn load'):.2f}",
        f"{ratios(times, 'load', 'mapped'):.2f}",
        f"{ratios(times, 'load', 'pread'):.2f}",
    ]
    return f"| {plain.stem} | " + " | ".join(cells) + " |"


def sizes(plain: Path, folder: Path) -> str:
    """One row of the table of sizes, bytes of whole files."""
    tensors = safetensors.torch.load_file(plain)
    ours, theirs = folder / "ours.safetensors", folder / "zipnn.safetensors"
    ours_save(plain, ours)
    zipnn_save(plain, theirs)
    data = plain.read_bytes()
    zstd = len(zstandard.ZstdCompressor(level=19, threads=THREADS).compress(data))
    shuffled = 0
    for tensor in tensors.values():
        raw = _bytes(tensor).numpy()
        shuffled += len(
            blosc2.compress2(
                raw,
                typesize=tensor.element_size(),
                codec=blosc2.Codec.ZSTD,
                clevel=9,
                filters=[blosc2.Filter.BITSHUFFLE],
            )
            if raw.size
            else b""
        )
    cells = [ours.stat().st_size, theirs.stat().st_size, zstd, shuffled]
    row = [f"{cells[0]} ({100 * cells[0] / len(data):.2f} %)"]
    row += [f"{size} ({100 * (size / cells[0] - 1):+.2f} %)" for size in cells[1:]]
    return f"| {plain.stem} | {len(data)} | " + " | ".join(row) + " |"


def main() -> None:
    """Print both tables, or that of sizes alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", action="store_true", help="sizes alone, zstd -19 among them")
    options = parser.parse_args()
    names = options.names or ["minilm-fp32", "minilm-bf16", "antiberty-fp32", "antiberty-bf16"]
    columns = (
        ["plain, bytes", "ours", "ZipNN", "zstd -19", "blosc2 bitshuffle zstd -9"]
        if options.sizes
        else ["save ms", "ZipNN save", "load ms", "ZipNN load", "mapped", "pread",
              "save x ZipNN", "load x ZipNN", "load x mapped", "load x pread"]
    )  # fmt: skip
    print("| file | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            plain = Path(made) / f"{name}.safetensors"
            safetensors.torch.save_file(tensors_of(name), plain, {"format": "pt"})
            row = sizes if options.sizes else lambda *at: speed(*at, options.rounds)
            print(row(plain, Path(made)), flush=True)


if __name__ == "__main__":
    main()
