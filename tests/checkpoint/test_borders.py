"""Where other people's files broke: sizes that are equal, alignment, files in use, 5 GiB."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

import slashbench
from slashbench.bench.checkpoint import reader
from slashbench.bench.checkpoint.file_format import STORED
from tests.helpers.command import bench


def test_a_stream_as_long_as_what_it_stands_for(tmp_path: Path) -> None:
    """Noise with ever more zeros at its end: from stored to coded."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 5000).astype(np.uint8)
    kinds = set()
    for zeros in range(0, 800, 20):
        tensor = np.concatenate([noise, np.zeros(zeros, np.uint8)])
        slashbench.save_file({"w": torch.from_numpy(tensor)}, tmp_path / "f.safetensors")
        assert slashbench.load_file(tmp_path / "f.safetensors")["w"].numpy().tobytes() == (
            tensor.tobytes()
        )
        kinds.add(reader.opened(tmp_path / "f.safetensors").blob("w").segments[0].codec == STORED)
    assert kinds == {True, False}


def test_what_is_decoded_is_aligned(tmp_path: Path) -> None:
    tensors = {
        "a": torch.arange(3, dtype=torch.uint8),
        "b": torch.randn(7, dtype=torch.float64),
        "c": torch.randn(5).half(),
        "d": torch.tensor([True]),
        "e": torch.randn(9),
    }
    torch.save(tensors, tmp_path / "model.pt")
    for step in (("compress", "model.pt", "-o", "s"), ("decompress", "s", "-o", "p.safetensors")):
        done = bench(*step, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    raw = (tmp_path / "p.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__":
            begin = 8 + length + entry["data_offsets"][0]
            assert begin % tensors[name].element_size() == 0, name
    found = slashbench.load_file(tmp_path / "s")
    assert all(found[name].data_ptr() % 16 == 0 for name in tensors)


@pytest.mark.thorough
def test_saving_over_a_file_that_is_being_read(tmp_path: Path) -> None:
    """Its readers go on with what was there: nothing is written into a file that is mapped."""
    path = tmp_path / "f.safetensors"
    old, new = torch.randn(300, 200), torch.zeros(4)
    slashbench.save_file({"w": old}, path)
    with slashbench.safe_open(path) as reading:
        slashbench.save_file({"w": new}, path)
        assert torch.equal(reading.get_tensor("w"), old)
    assert torch.equal(slashbench.load_file(path)["w"], new)
    loaded = slashbench.load_file(path)
    slashbench.save_file(loaded, path)
    assert torch.equal(slashbench.load_file(path)["w"], new)


def test_a_plain_file_in_use_is_replaced_by_its_compressed_self(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    tensor = torch.randn(100, 300)
    safetensors.torch.save_file({"w": tensor}, path)
    with safetensors.safe_open(path, "pt") as reading:
        done = bench("compress", str(path), "-o", str(path), "--force", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert torch.equal(reading.get_tensor("w"), tensor)
    assert torch.equal(slashbench.load_file(path)["w"], tensor)


@pytest.mark.slow
def test_five_gigabytes(tmp_path: Path) -> None:
    """More bytes than 32 bits count, in one tensor: there and back, and a slice of its end."""
    rows, columns = 5 << 10, 1 << 20
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [rows, columns], "data_offsets": [0, rows * columns]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    plain = tmp_path / "m.safetensors"
    tail = np.random.default_rng(0).integers(0, 9, columns).astype(np.uint8)
    with plain.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        start = file.tell()
        file.truncate(start + rows * columns)  # zeros, which take no room
        for row in (0, 2047, 2048, 4095, 4096, rows - 1):
            file.seek(start + row * columns)
            file.write(np.roll(tail, row).tobytes())
    done = bench("compress", str(plain), "-o", "s.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = slashbench.safe_open(tmp_path / "s.safetensors").get_slice("w")
    for row in (2047, 2048, 4095, 4096, rows - 1):
        assert np.array_equal(found[row].numpy(), np.roll(tail, row)), row
    done = bench("verify", "s.safetensors", "--against", str(plain), cwd=tmp_path)
    assert "byte for byte" in done.stdout, done.stderr


def test_low_precision_is_coded_as_what_it_is(tmp_path: Path) -> None:
    """Packed nibbles, blocks of a scale and integers, and floats of few values."""
    rng = np.random.default_rng(0)
    nibbles = np.rint(rng.normal(8, 2, (512, 512))).clip(0, 15).astype(np.uint32)
    packed = (nibbles.reshape(512, 64, 8) << np.arange(0, 32, 4, dtype=np.uint32)).sum(2)
    blocks = np.rint(rng.normal(0, 30, (512, 10, 34))).astype(np.int8)
    blocks[:, :, 0], blocks[:, :, 1] = 7, rng.integers(40, 44, (512, 10))
    levels = np.rint(rng.normal(0, 20, (512, 512))).astype(np.float32) * np.float32(0.0123)
    tensors = {
        "packed": packed.astype(np.uint32).view(np.int32),
        "blocks": blocks.view(np.uint8).reshape(512, 340),
        "levels": levels,
    }
    most = {"packed": 0.8, "blocks": 0.85, "levels": 0.22}
    for name, tensor in tensors.items():
        given = {name: torch.from_numpy(tensor)}
        slashbench.save_file(given, tmp_path / "f.safetensors")
        size = (tmp_path / "f.safetensors").stat().st_size
        assert size < most[name] * tensor.nbytes, name
        assert torch.equal(slashbench.load_file(tmp_path / "f.safetensors")[name], given[name])
