"""Files with a base: only what differs is kept, and nothing but that base will do."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

import slashbench
from slashbench.bench.checkpoint import base_files, describe, encoder, reader
from slashbench.errors import CorruptFile, OtherBase, UsageError
from tests.helpers import command
from tests.helpers.tensor_samples import of_every_dtype, raw

OLD, NEW, DELTA = "old.safetensors", "new.safetensors", "delta.safetensors"


def little_moved(old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under longer names, with a few bits turned; one is new, one is the same."""
    new = {}
    for name, tensor in old.items():
        data = bytearray(raw(tensor))
        for at in range(100, len(data), 101):
            data[at] ^= 1
        flat = torch.frombuffer(data, dtype=torch.uint8) if data else torch.zeros(0).byte()
        moved = flat.view(tensor.dtype).reshape(tensor.shape) if data else tensor
        new[f"model.{name}"] = moved if name != "U8" else tensor
    return {**new, "added": torch.arange(700.0)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plain base and a checkpoint made from it, where the test runs."""
    old = {name: t for name, t in of_every_dtype().items() if name != "BOOL"}
    safetensors.torch.save_file(old, tmp_path / OLD)
    safetensors.torch.save_file(little_moved(old), tmp_path / NEW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoder, "SEGMENT", 9000)
    return tmp_path


def bench(*arguments: str) -> int:
    return command.bench(*arguments, cwd=Path.cwd()).returncode


def test_a_delta_comes_back_byte_for_byte_with_its_base_plain_or_compressed(folder: Path) -> None:
    assert bench("compress", NEW, "--base", OLD, "-o", DELTA) == 0
    assert (folder / DELTA).stat().st_size < (folder / NEW).stat().st_size / 5
    assert bench("compress", OLD, "-o", "small.safetensors") == 0
    for base in (OLD, "small.safetensors"):
        assert bench("decompress", DELTA, "--base", base, "-o", "back", "--force") == 0
        assert (folder / "back").read_bytes() == (folder / NEW).read_bytes()
    assert bench("verify", DELTA, "--base", OLD, "--against", NEW) == 0


def test_tensors_rows_and_slices_of_a_delta(folder: Path) -> None:
    old, new = safetensors.torch.load_file(OLD), safetensors.torch.load_file(NEW)
    slashbench.save_file(new, DELTA, base=old)
    for base in (old, OLD):
        loaded = slashbench.load_file(DELTA, base=base)
        assert {name: raw(tensor) for name, tensor in loaded.items()} == {
            name: raw(tensor) for name, tensor in new.items()
        }
    with slashbench.safe_open(DELTA, base=OLD) as file:
        for name in ("model.F32", "model.BF16", "model.I8"):
            assert raw(file.get_slice(name)[7:90]) == raw(new[name][7:90])


def test_another_base_is_refused_and_so_is_none(folder: Path) -> None:
    assert bench("compress", NEW, "--base", OLD, "-o", DELTA) == 0
    without = command.bench("decompress", DELTA, "-o", "back", cwd=folder)
    assert without.returncode == 2
    assert "--base" in without.stderr
    other = safetensors.torch.load_file(OLD)
    other["F32"][0, 0] += 1
    safetensors.torch.save_file(other, "other.safetensors")
    base = "other.safetensors"
    refused = command.bench("decompress", DELTA, "--base", base, "-o", "back", cwd=folder)
    assert refused.returncode == 2
    assert "is not the base" in refused.stderr
    assert not (folder / "back").exists()
    with pytest.raises(OtherBase, match="U16"):  # a tensor is missing
        del other["U16"]
        slashbench.load_file(DELTA, base=other)


def test_deltas_form_no_chains(folder: Path) -> None:
    assert bench("compress", NEW, "--base", OLD, "-o", DELTA) == 0
    with pytest.raises(UsageError, match="no chains"):
        base_files.opened(folder / DELTA)
    assert bench("compress", OLD, "--base", DELTA, "-o", "second") == 2


def test_folders_whose_shards_are_cut_otherwise(folder: Path) -> None:
    old, new = safetensors.torch.load_file(OLD), safetensors.torch.load_file(NEW)
    for where, tensors in (("base", old), ("tuned", new)):
        (folder / where).mkdir()
        names = sorted(tensors)
        for shard in range(2 if where == "base" else 3):
            part = names[shard :: 2 if where == "base" else 3]
            file = folder / where / f"{shard}.safetensors"
            safetensors.torch.save_file({name: tensors[name] for name in part}, file)
    assert bench("compress", "tuned", "--base", "base", "-o", "small") == 0
    assert bench("decompress", "small", "--base", "base", "-o", "back") == 0
    assert bench("verify", "small", "--base", OLD, "--against", "tuned") == 0
    for file in (folder / "tuned").iterdir():
        assert (folder / "back" / file.name).read_bytes() == file.read_bytes()


def test_what_inspect_says_of_a_delta(folder: Path) -> None:
    assert bench("compress", NEW, "--base", OLD, "-o", DELTA) == 0
    found = describe.describe(DELTA, reader.opened(folder / DELTA))
    assert found.base is not None
    assert (found.base.name, found.base.hash) == (OLD, base_files.opened(Path(OLD)).identity())
    how = {entry.name: entry.how for entry in found.tensors}
    assert how["model.F32"] == "delta"
    assert how["model.U8"] == "same as the base"
    assert how["added"] == "stored"
    assert sum(found.ledger.values()) == found.file_bytes


def test_what_was_rebuilt_is_checked(folder: Path) -> None:
    """A base whose hash is right but whose bytes are read wrong."""
    assert bench("compress", NEW, "--base", OLD, "-o", DELTA) == 0
    base = base_files.opened(folder / OLD)
    for name in base.tensors:
        base.hash_of(name)
    broken = base_files.Base(base.tensors, lambda name: base.read(name) ^ 1)
    broken._hashes.update(base._hashes)
    for name in ("model.U8", "model.I16"):
        with pytest.raises((CorruptFile, OtherBase)):
            reader.opened(folder / DELTA, base=broken).tensor(name)


def test_files_without_a_base_are_what_they_were(folder: Path) -> None:
    assert bench("compress", NEW, "-o", "alone") == 0
    assert describe.describe("", reader.opened(folder / "alone")).format == 2
