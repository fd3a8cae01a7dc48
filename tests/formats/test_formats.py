"""Weights in other people's formats: every tensor as it is, and nothing of a file is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import slashbench
from slashbench.bench.formats import opening, pytorch_files
from slashbench.errors import SlashbenchError
from tests.helpers import foreign_files
from tests.helpers.command import bench


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _state() -> dict[str, torch.Tensor]:
    weight = torch.arange(600.0).reshape(30, 20)
    return {
        "a.weight": weight,
        "tied": weight,
        "transposed": weight.T,
        "part": weight[1:7:2, 3:],
        "half": torch.randn(5).half(),
        "brain": torch.randn(3, 3).bfloat16(),
        "integers": torch.arange(-3, 4),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(torch.randn(2, 2)),
    }


def _loaded(path: str) -> dict[str, torch.Tensor]:
    """What comes back by `bench compress` and `bench decompress`."""
    for verb, source, target in [
        ("compress", path, "small.safetensors"),
        ("decompress", "small.safetensors", "back.safetensors"),
    ]:
        done = bench(verb, source, "-o", target, "--force", cwd=Path())
        assert done.returncode == 0, done.stderr
    return safetensors.torch.load_file("back.safetensors")


def _same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor.detach()), name


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_checkpoints_of_torch_come_back_tensor_by_tensor(zipped: bool) -> None:
    state = _state()
    torch.save(state, "model.bin", _use_new_zipfile_serialization=zipped)
    _same(_loaded("model.bin"), state)


def test_types_that_only_newer_checkpoints_have() -> None:
    state = {
        "u16": torch.arange(4).to(torch.uint16),
        "f8": torch.randn(8).to(torch.float8_e4m3fn),
    }
    torch.save(state, "model.pt")
    source = opening.source_of(Path("model.pt"))
    assert {name: t.dtype for name, t in source.header.tensors.items()} == {
        "u16": "U16",
        "f8": "F8_E4M3",
    }
    assert source.read("f8").tobytes() == state["f8"].view(torch.uint8).numpy().tobytes()


def test_modules_optimisers_and_numbers() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    torch.save({"model": module, "step": 7, "list": [torch.ones(2)]}, "model.pt")
    source = opening.source_of(Path("model.pt"))
    wanted = {f"model.{name}" for name in module.state_dict()} | {"list.0"}
    assert source.header.tensors.keys() == wanted
    done = bench("compress", "model.pt", "--dry-run", cwd=Path())
    assert "left out" in done.stderr
    assert "no tensors" in done.stderr


def test_a_tensor_that_repeats_its_storage_is_named() -> None:
    torch.save({"a": torch.zeros(1).expand(10), "b": torch.ones(2)}, "model.pt")
    source = opening.source_of(Path("model.pt"))
    assert list(source.header.tensors) == ["b"]
    assert "repeats" in source.left_out["a"]


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_nothing_in_a_pickle_is_run(zipped: bool) -> None:
    state = {"trap": _Trap(), "weight": torch.ones(3)}
    torch.save(state, "model.bin", _use_new_zipfile_serialization=zipped)
    source = opening.source_of(Path("model.bin"))
    assert list(source.header.tensors) == ["weight"]
    assert not Path("ran").exists()


def test_a_plain_pickle_is_no_checkpoint() -> None:
    Path("model.pt").write_bytes(pickle.dumps(_Trap()))
    done = bench("compress", "model.pt", "--dry-run", cwd=Path())
    assert done.returncode == 2
    assert "neither what torch.save writes" in done.stderr
    assert not Path("ran").exists()


def _zipped(content: bytes, storages: dict[str, bytes], compression: int = 0) -> Path:
    with zipfile.ZipFile("model.pt", "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for name, data in storages.items():
            archive.writestr(f"archive/data/{name}", data)
    return Path("model.pt")


def _pickled_view(first: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A pickle of a tensor of the storage 0, whatever it claims."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, found: Any) -> Any:
            if isinstance(found, Storage):
                return "storage", torch.FloatStorage, "0", "cpu", 4
            return None

    class View:
        def __reduce__(self) -> tuple[Any, ...]:
            called = torch._utils._rebuild_tensor_v2
            return called, (Storage(), first, shape, strides, False, OrderedDict())

    made = io.BytesIO()
    Pickler(made, 2).dump({"w": View()})
    return made.getvalue()


@pytest.mark.parametrize(
    ("first", "shape", "strides", "said"),
    [
        (0, (5,), (1,), "beyond"),
        (-1, (2,), (1,), "damaged"),
        (0, (2, 2), (-1, 1), "damaged"),
        (0, (1 << 62, 1 << 62), (0, 0), "repeats"),
        (1 << 62, (1,), (1,), "beyond"),
        (0, (2,), (1, 1), "damaged"),
        (0, tuple([1] * 70), tuple([1] * 70), "dimensions"),
    ],
)
def test_sizes_are_checked_before_they_are_trusted(
    first: int, shape: tuple[int, ...], strides: tuple[int, ...], said: str
) -> None:
    path = _zipped(_pickled_view(first, shape, strides), {"0": bytes(16)})
    with pytest.raises(SlashbenchError, match=said):
        opening.source_of(path)


def test_a_stream_that_names_storages_by_what_is_no_text_is_refused() -> None:
    parts = [1001, {}, {}, [bytearray(b"0")]]
    data = pytorch_files.STREAM + b"".join(pickle.dumps(part, 5) for part in parts)
    Path("model.pt").write_bytes(data)
    with pytest.raises(SlashbenchError, match="storages that no tensor has"):
        opening.source_of(Path("model.pt"))


def test_a_compressed_archive_is_refused() -> None:
    view = _pickled_view(0, (4,), (1,))
    path = _zipped(view + b"\0" * 4096, {"0": bytes(16)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(SlashbenchError, match="compressed"):
        opening.source_of(path)


def test_lists_in_lists_without_end_are_refused() -> None:
    deep: Any = [torch.ones(1)]
    for _ in range(60):
        deep = [deep, deep]
    torch.save({"w": deep}, "model.pt")
    with pytest.raises(SlashbenchError, match="without end"):
        opening.source_of(Path("model.pt"))


def test_gguf_plain_numbers_and_blocks() -> None:
    plain = np.arange(12, dtype="<f4").reshape(3, 4)
    blocks = bytes(range(2 * 34))
    foreign_files.write_gguf(
        Path("model.gguf"),
        {"plain": (0, [4, 3], plain.tobytes()), "q8": (8, [32, 2], blocks)},
    )
    source = opening.source_of(Path("model.gguf"))
    assert source.header.tensors["plain"].shape == (3, 4)
    assert source.header.tensors["q8"].shape == (2, 34)
    assert source.header.metadata["gguf.blocks q8"] == "Q8_0"
    assert source.header.metadata["general.architecture"] == "llama"
    assert list(source.left_out) == ["'words'"]
    back = _loaded("model.gguf")
    assert torch.equal(back["plain"], torch.from_numpy(plain))
    assert back["q8"].numpy().tobytes() == blocks


def test_onnx_initialisers_here_and_beside() -> None:
    weight = np.arange(6, dtype="<f4").reshape(2, 3)
    outside = np.arange(4, dtype="<i8")
    Path("model.data").write_bytes(b"\0" * 8 + outside.tobytes())
    foreign_files.write_onnx(
        Path("model.onnx"),
        [
            foreign_files.onnx_tensor("w", 1, (2, 3), foreign_files.onnx_raw(weight)),
            foreign_files.onnx_tensor("small", 3, (3,), foreign_files.onnx_varints(5, [1, -2, 3])),
            foreign_files.onnx_tensor(
                "outside", 7, (4,), foreign_files.onnx_beside("model.data", 8, 32)
            ),
            foreign_files.onnx_tensor("text", 8, (), b""),
        ],
    )
    back = _loaded("model.onnx")
    assert torch.equal(back["w"], torch.from_numpy(weight))
    assert back["small"].tolist() == [1, -2, 3]
    assert back["small"].dtype == torch.int8
    assert torch.equal(back["outside"], torch.from_numpy(outside))
    assert "text" not in back


@pytest.mark.parametrize("name", ["../model.data", "/etc/passwd", "", ".."])
def test_onnx_files_beside_stay_in_the_folder(name: str) -> None:
    beside = foreign_files.onnx_beside(name, 0, 4)
    foreign_files.write_onnx(Path("model.onnx"), [foreign_files.onnx_tensor("w", 1, (1,), beside)])
    with pytest.raises(SlashbenchError, match="no file of the folder"):
        opening.source_of(Path("model.onnx"))


def test_mutants_are_refused_or_read() -> None:
    """Bytes bent at random: an error of ours or tensors of the size that is said, nothing else."""
    torch.save(_state(), "zip.pt")
    torch.save(_state(), "stream.pt", _use_new_zipfile_serialization=False)
    foreign_files.write_gguf(
        Path("a.gguf"), {"w": (0, [4, 3], bytes(48)), "q": (8, [32], bytes(34))}
    )
    raw = foreign_files.onnx_raw(np.zeros(6, "<f4"))
    foreign_files.write_onnx(
        Path("a.onnx"),
        [
            foreign_files.onnx_tensor("w", 1, (2, 3), raw),
            foreign_files.onnx_tensor("v", 6, (2,), foreign_files.onnx_varints(5, [1, 300])),
        ],
    )
    random.seed(7)
    refused = 0
    for name, tries in [("zip.pt", 30), ("stream.pt", 60), ("a.gguf", 60), ("a.onnx", 60)]:
        original = Path(name).read_bytes()
        mutant = Path("mutant" + Path(name).suffix)
        for _ in range(tries):
            data = bytearray(original)
            for _ in range(random.choice([1, 1, 3])):
                data[random.randrange(min(len(data), 1500))] = random.choice([0, 1, 127, 255])
            if random.random() < 0.2:
                del data[random.randrange(len(data)) :]
            mutant.write_bytes(data)
            try:
                source = opening.source_of(mutant)
                for tensor, entry in source.header.tensors.items():
                    assert source.read(tensor).size == entry.nbytes
            except SlashbenchError:
                refused += 1
    assert refused > 30


def test_a_folder_of_pickled_shards_becomes_one_of_safetensors() -> None:
    Path("model").mkdir()
    one, two = {"a": torch.arange(2000.0)}, {"b": torch.arange(3000.0)}
    files = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    for file, state in zip(files, (one, two), strict=True):
        torch.save(state, Path("model") / file)
    torch.save({"epochs": 3}, "model/training_args.bin")
    index = {"metadata": {}, "weight_map": {"a": files[0], "b": files[1]}}
    Path("model/pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    done = bench("compress", "model", "-o", "small", cwd=Path())
    assert done.returncode == 0, done.stderr
    assert "training_args.bin" in done.stderr
    assert bench("verify", "small", "--against", "model", cwd=Path()).returncode == 0
    found = slashbench.load_file("small")
    assert {name: len(tensor) for name, tensor in found.items()} == {"a": 2000, "b": 3000}
    assert bench("decompress", "small", "-o", "plain", cwd=Path()).returncode == 0
    assert {path.name for path in Path("plain").iterdir()} == {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    }


def test_tensors_that_stand_in_two_formats_are_kept_once() -> None:
    Path("model").mkdir()
    state = {"a": torch.arange(2000.0), "b": torch.ones(5)}
    safetensors.torch.save_file(state, "model/model.safetensors")
    torch.save({**state, "tied": state["a"]}, "model/pytorch_model.bin")
    torch.save({"c": torch.ones(3)}, "model/adapter.bin")
    done = bench("compress", "model", "-o", "small", cwd=Path())
    assert "each of its tensors stands in model.safetensors" in done.stderr
    assert {path.name for path in Path("small").iterdir()} == {
        "model.safetensors",
        "adapter.safetensors",
    }


@pytest.mark.parametrize("verb", ["scan", "inspect"])
def test_scan_and_inspect_read_them_too(verb: str) -> None:
    torch.save({"layer.weight": torch.randn(64, 64)}, "model.bin")
    more = ["--codecs=huffman,float-rans", "--repeats=1"] if verb == "scan" else []
    done = bench(verb, "model.bin", *more, cwd=Path())
    assert done.returncode == 0, done.stderr
    assert ("float-rans" if verb == "scan" else "layer.weight") in done.stdout


def test_what_stands_in_two_files_of_a_folder_is_stored_once() -> None:
    Path("model").mkdir()
    one = {f"layers.{i}.wq": torch.randn(200, 200) for i in range(3)}
    two = {f"model.layers.{i}.q_proj": tensor for i, (_, tensor) in enumerate(one.items())}
    two["norm"] = torch.randn(3000)
    safetensors.torch.save_file(one, "model/consolidated.safetensors")
    safetensors.torch.save_file(two, "model/model.safetensors")
    done = bench("compress", "model", "-o", "small", cwd=Path())
    assert done.returncode == 0, done.stderr
    first, second = (
        Path("small") / name for name in ("consolidated.safetensors", "model.safetensors")
    )
    assert second.stat().st_size < first.stat().st_size / 10
    assert bench("verify", "small", "--against", "model", cwd=Path()).returncode == 0
    assert bench("decompress", "small", "-o", "plain", cwd=Path()).returncode == 0
    for name in ("consolidated.safetensors", "model.safetensors"):
        assert (Path("plain") / name).read_bytes() == (Path("model") / name).read_bytes()
    _same(slashbench.load_file("small/model.safetensors"), two)
    second.rename("alone.safetensors")
    assert "is a delta" in bench("verify", "alone.safetensors", cwd=Path()).stderr
