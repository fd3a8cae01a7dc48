"""save_file, load_file, safe_open, load_model: what safetensors' users expect, bit for bit."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

import slashbench
from slashbench.bench.checkpoint import encoder
from slashbench.errors import BadSetting, CorruptFile, UnknownName, UsageError
from tests.helpers.tensor_samples import of_every_dtype, raw

TENSORS = of_every_dtype()


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tensors in many segments, and coded however small they are."""
    monkeypatch.setattr(encoder, "SEGMENT", 5000)
    monkeypatch.setattr(encoder, "QUANTIZED_SEGMENT", 5000)
    monkeypatch.setattr(encoder, "SMALL", 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.safetensors"
    slashbench.save_file(TENSORS, path, metadata={"format": "pt", "ünï": "\n\x01"})
    return path


@pytest.mark.parametrize("codec", [None, "float-rans", "rans", "zstd:level=1", "pack"])
def test_every_dtype_comes_back_bit_for_bit(codec: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    slashbench.save_file(TENSORS, path, codec=codec)
    loaded = slashbench.load_file(path)
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert (loaded[name].dtype, loaded[name].shape) == (tensor.dtype, tensor.shape), name
        assert raw(loaded[name]) == raw(tensor), name


def test_segments(short_segments: None, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    slashbench.save_file(TENSORS, path)
    loaded = slashbench.load_file(path)
    assert {name: raw(tensor) for name, tensor in loaded.items()} == {
        name: raw(tensor) for name, tensor in TENSORS.items()
    }


def test_it_opens_as_safetensors_does(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "plain.safetensors"
    safetensors.torch.save_file(TENSORS, other, metadata={"format": "pt", "ünï": "\n\x01"})
    with safetensors.safe_open(other, "pt") as theirs, slashbench.safe_open(file) as ours:
        assert ours.keys() == sorted(theirs.keys())
        assert ours.offset_keys() == theirs.offset_keys()
        assert ours.metadata() == theirs.metadata()
        for name in theirs.keys():  # noqa: SIM118
            assert raw(ours.get_tensor(name)) == raw(theirs.get_tensor(name))
            if name != "F4":
                assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
                assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()
        assert ours.get_tensors().keys() == set(theirs.keys())


def test_plain_safetensors_reads_the_header(file: Path) -> None:
    with safetensors.safe_open(file, "pt") as opened:
        assert set(opened.keys()) == TENSORS.keys()
        assert all(opened.get_tensor(name).dtype == torch.uint8 for name in TENSORS)


INDICES: list[Any] = [
    slice(None), slice(3, 17), slice(3, 17, 4), slice(17, 3), slice(-5, None), slice(0, 10**9), 0,
    -1, ..., (slice(2, 4), slice(1, 3)), (7, slice(None, None, 2)), (..., 0), [3, 1],
    torch.tensor([2, 2]), None,
]  # fmt: skip


@pytest.mark.parametrize("quantize", [None, "quantize:step=0.5:unit=std"])
@pytest.mark.parametrize("name", ["F32", "BF16", "C64", "I8", "BOOL", "F64", "F8_E4M3"])
def test_slices(name: str, quantize: str | None, short_segments: None, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    tensor = TENSORS[name].reshape(-1)[600:9000].reshape(210, 40)
    slashbench.save_file({name: tensor}, path, quantize=quantize)
    whole = slashbench.load_file(path)[name]
    with slashbench.safe_open(path) as opened:
        for index in INDICES:
            part = opened.get_slice(name)[index]
            assert part.shape == whole[index].shape, index
            assert raw(part) == raw(whole[index]), index
        with pytest.raises(IndexError):
            opened.get_slice(name)[210]
        with pytest.raises(ValueError, match="step"):
            opened.get_slice(name)[::-1]


def test_slices_of_vectors_scalars_and_nothing(file: Path) -> None:
    with slashbench.safe_open(file) as opened:
        assert opened.get_slice("I64")[5:8].tolist() == [5, 6, 7]
        assert opened.get_slice("scalar")[...].item() == 1.5
        assert opened.get_slice("empty")[1:3].shape == (2, 0, 3)


def test_one_tensor_is_read_without_the_others(file: Path) -> None:
    """Damage in one does not show in another, nor, in a slice, in another chunk."""
    wide = torch.randn(4000, 200)
    slashbench.save_file({"a": wide, "b": wide + 1}, file)
    data = bytearray(file.read_bytes())
    data[-100_000] ^= 1  # at the end of b
    file.write_bytes(data)
    with slashbench.safe_open(file) as opened:
        assert raw(opened.get_tensor("a")) == raw(wide)
        assert raw(opened.get_slice("b")[:200]) == raw((wide + 1)[:200])
        with pytest.raises(CorruptFile, match="'b'"):
            opened.get_tensor("b")
    with pytest.raises(CorruptFile, match="'b'"):
        slashbench.load_file(file)


def test_a_folder_opens_as_one_file(tmp_path: Path) -> None:
    shards = {
        "model-00001-of-00002.safetensors": {"a": torch.randn(300, 40), "b": torch.arange(7)},
        "model-00002-of-00002.safetensors": {"c": torch.randn(200, 30).bfloat16()},
    }
    weight_map = {}
    for number, (shard, tensors) in enumerate(shards.items()):
        slashbench.save_file(tensors, tmp_path / shard, metadata={f"shard{number}": "yes"})
        weight_map |= dict.fromkeys(tensors, shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    every = {name: tensor for tensors in shards.values() for name, tensor in tensors.items()}
    with slashbench.safe_open(tmp_path) as opened:
        assert opened.keys() == sorted(every)
        assert opened.metadata() == {"shard0": "yes", "shard1": "yes"}
        for name, tensor in every.items():
            assert torch.equal(opened.get_tensor(name), tensor)
        assert torch.equal(opened.get_slice("c")[50:60], every["c"][50:60])
        assert opened.get_tensors().keys() == every.keys()
    with pytest.raises(CorruptFile, match="over the limit"):
        slashbench.safe_open(tmp_path, max_bytes=every["a"].nbytes + every["b"].nbytes)
    slashbench.save_file(every, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(UsageError, match="more than one model: 'a' is in model-00001"):
        slashbench.safe_open(tmp_path)


def test_tied_tensors_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    weight = torch.randn(300, 100)
    path, alone = tmp_path / "tied.safetensors", tmp_path / "alone.safetensors"
    slashbench.save_file({"embed": weight, "head": weight, "same": weight.clone()}, path)
    slashbench.save_file({"embed": weight}, alone)
    assert path.stat().st_size < alone.stat().st_size + 1000
    loaded = slashbench.load_file(path)
    assert loaded["head"] is loaded["embed"]
    assert loaded["same"].data_ptr() != loaded["embed"].data_ptr()
    assert raw(loaded["same"]) == raw(weight)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 40), nn.Linear(40, 50, bias=False)
        self.norm = nn.BatchNorm1d(40)
        self.head.weight = self.embed.weight


def test_load_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    module, other = Tied(), Tied()
    slashbench.save_file(module.state_dict(), path)
    assert slashbench.load_model(other, path) == ([], [])
    assert other.head.weight is other.embed.weight
    assert torch.equal(other.embed.weight, module.embed.weight)
    # a file that has one name of the two, as transformers writes them
    state = {n: t for n, t in module.state_dict().items() if n != "head.weight"}
    slashbench.save_file(state, path)
    assert slashbench.load_model(Tied(), path) == ([], [])
    del state["norm.bias"]
    slashbench.save_file({**state, "more": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"missing \['norm.bias'\], unexpected \['more'\]"):
        slashbench.load_model(Tied(), path)
    assert slashbench.load_model(Tied(), path, strict=False) == (["norm.bias"], ["more"])
    slashbench.save_file({**state, "norm.bias": torch.zeros(3)}, path)
    with pytest.raises(UsageError, match="another model"):
        slashbench.load_model(Tied(), path)


def test_quantized_tensors_keep_their_dtype(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    wide = torch.randn(200, 100)
    tensors = {"f": wide, "b": wide.bfloat16(), "h": wide.half(), "bias": wide[0].clone(),
               "i": torch.arange(9)}  # fmt: skip
    slashbench.save_file(tensors, path, quantize="quantize:step=2^-4")
    loaded = slashbench.load_file(path)
    for name in ("f", "b", "h"):
        assert loaded[name].dtype == tensors[name].dtype
        error = (loaded[name].double() - tensors[name].double()).abs()
        assert 0 < error.max() <= 2**-5 + 2**-7
    for name in ("bias", "i"):
        assert torch.equal(loaded[name], tensors[name])


def test_what_cannot_be_asked_for(file: Path, tmp_path: Path) -> None:
    weight = {"w": torch.randn(9, 9)}
    out = tmp_path / "out.safetensors"
    for error, message, arguments in [
        (UnknownName, "did you mean 'huffman'", {"codec": "hufman"}),
        (BadSetting, "max_length", {"codec": "huffman:max_length=99"}),
        (UsageError, "stands for 2", {"codec": "exp-golomb:k=0..1"}),
        (UsageError, "is a bound", {"codec": "entropy"}),
        (UsageError, "takes no integers", {"codec": "float-rans", "quantize": "quantize"}),
    ]:
        with pytest.raises(error, match=message):
            slashbench.save_file(weight, out, **arguments)
    with pytest.raises(UsageError, match="meta"):
        slashbench.save_file({"w": torch.empty(3, device="meta")}, out)
    with pytest.raises(UsageError, match="no tensor 'x'"), slashbench.safe_open(file) as opened:
        opened.get_tensor("x")
    with pytest.raises(UsageError, match="framework"):
        slashbench.safe_open(file, framework="tf")
    with pytest.raises(AttributeError, match="no attribute"):
        slashbench.load_fil  # noqa: B018
    assert not out.exists()


def test_importing_slashbench_is_light() -> None:
    program = "import sys, slashbench; print(len({'numpy', 'torch', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"0"
    assert "load_file" in dir(slashbench)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"m._extra_state": None}, "'m._extra_state' is a NoneType, no tensor"),
        ({"m._extra_state": io.BytesIO()}, "'m._extra_state' is a BytesIO"),
        ({"n": 3}, "'n' is a int"),
        ({"n": np.zeros(3)}, "'n' is a ndarray"),
        ({3: torch.zeros(3)}, "3, a int; it must be text"),
        ({"__metadata__": torch.zeros(3)}, "safetensors keeps for itself"),
        ({"\udc80": torch.zeros(3)}, "no valid text"),
        ({"f": torch.zeros((), dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, "'f' is a scalar"),
        ({"s": torch.zeros(3, 3).to_sparse()}, "'s' is a torch.sparse_coo tensor"),
    ],
)
def test_what_cannot_be_saved_is_named(tensors: Any, said: str, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(UsageError, match=re.escape(said)):
        slashbench.save_file({"w": torch.zeros(3), **tensors}, out)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", [{"step": 3}, {3: "x"}, {"a": "\udc80"}, {"a": None}])
def test_metadata_is_text(metadata: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="metadata"):
        slashbench.save_file({"w": torch.zeros(3)}, tmp_path / "out", metadata=metadata)


def test_views_that_are_conjugated_or_negated(tmp_path: Path) -> None:
    """They share the memory of what they are views of, and are not tied to it."""
    plain = torch.randn(30, 30, dtype=torch.complex64)
    tensors = {"z": plain, "conjugated": plain.conj(), "negated": plain.conj().imag}
    assert tensors["negated"].is_neg()
    slashbench.save_file(tensors, tmp_path / "f")
    for name, tensor in slashbench.load_file(tmp_path / "f").items():
        assert torch.equal(tensor, tensors[name]), name


def test_a_model_that_does_not_fit_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    other = {n: torch.full_like(t, 7) for n, t in Tied().state_dict().items()}
    for changed in (
        {n: t for n, t in other.items() if n != "norm.bias"},
        {**other, "more": torch.zeros(1)},
        {**other, "norm.weight": torch.zeros(3)},
    ):
        slashbench.save_file(changed, path)
        module = Tied()
        before = {n: t.clone() for n, t in module.state_dict().items()}
        with pytest.raises(UsageError, match="another model"):
            slashbench.load_model(module, path)
        assert all(torch.equal(before[n], t) for n, t in module.state_dict().items())
    slashbench.save_file(other, path)
    with torch.device("meta"):
        hollow = Tied()
    with pytest.raises(UsageError, match=r"'embed\.weight' .* is on meta.*to_empty"):
        slashbench.load_model(hollow, path)
    filled = hollow.to_empty(device="cpu")
    assert slashbench.load_model(filled, path) == ([], [])
    assert (filled.head.weight == 7).all()


def test_a_module_that_cannot_be_copied_is_loaded(tmp_path: Path) -> None:
    module = Tied()
    module.kept = module.embed.weight * 2  # the result of a forward pass
    slashbench.save_file({n: t + 1 for n, t in Tied().state_dict().items()}, tmp_path / "f")
    assert slashbench.load_model(module, tmp_path / "f") == ([], [])
    with pytest.raises(UsageError, match="another model"):
        slashbench.load_model(nn.Linear(3, 3), tmp_path / "f")
