"""`bench run` counts the very file that `bench compress` writes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from slashbench import selector
from slashbench.bench.checkpoint import convert, encoder, sources, state_dict
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.commands.progress import Display
from slashbench.bench.engines.inline import InlineProgress
from slashbench.bench.pipeline.compress import bound_bytes, coded_values, compressed, ledger
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.quantized import prepare
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.bench.store.store import Store
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Calibration
from slashbench.errors import Unencodable
from slashbench.link import only
from slashbench.record import CheckpointRecord, CompressRecord
from slashbench.trainers.catalog import QUANTISERS
from tests.helpers.command import bench
from tests.helpers.tiny_models import Tied, Tiny

CODED = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
INTEGERS = [name for name in QUANTISERS.available() if QUANTISERS.get(name).domain == "integers"]
OF_WEIGHTS = [name for name in INTEGERS if not encoder.looks_at_data(QUANTISERS.get(name)())]
SCOPED = [
    f"{name}:scope=all"
    for name in OF_WEIGHTS
    if "scope" in {setting.name for setting in selector.settings_of(QUANTISERS.get(name))}
]


class Sized(Tied):
    """Tied names, a copy, vectors and a buffer that codecs take; segments are cut in rows."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Embedding(300, 40),
            nn.Linear(40, 40, bias=False),
            nn.Linear(40, 40, bias=False),
            nn.BatchNorm1d(2000),
            nn.Linear(40, 300, bias=False),
        )
        module[4].weight = module[0].weight
        module[2].weight.data.copy_(module[1].weight.data)
        for vector in (module[3].weight, module[3].bias):
            vector.data.normal_()
        module.register_buffer("positions", torch.arange(2000) // 7)
        return module


@pytest.fixture(scope="module")
def float_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float") / "model.safetensors"
    path.write_bytes(state_dict.to_bytes(Sized().build(0).state_dict()))
    return path


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "SEGMENT", 5000)
    monkeypatch.setattr(encoder, "QUANTIZED_SEGMENT", 6000)


def as_run_writes(path: Path, codec: str, quantiser: str) -> bytes:
    calibration = Calibration(Sized(), 0)
    prepared = prepare(calibration, only(QUANTISERS, quantiser), sources.of_file(path))
    return compressed(prepared, only(CODECS, codec))


def as_compress_writes(path: Path, codec: str, quantiser: str | None) -> bytes:
    file = io.BytesIO()
    how = Coding.of(only(CODECS, codec), quantiser and only(QUANTISERS, quantiser))
    convert.compress(file, sources.of_file(path), how)
    return file.getvalue()


@pytest.mark.parametrize("codec", [c for c in CODED if "integers" in CODECS.get(c).domains])
def test_every_codec_of_integers(codec: str, float_checkpoint: Path) -> None:
    made = as_run_writes(float_checkpoint, codec, "quantize:step=2^-4")
    assert made == as_compress_writes(float_checkpoint, codec, "quantize:step=2^-4")


@pytest.mark.parametrize("codec", [c for c in CODED if "floats" in CODECS.get(c).domains])
def test_every_codec_of_floats(codec: str, float_checkpoint: Path) -> None:
    made = as_run_writes(float_checkpoint, codec, "native")
    assert made == as_compress_writes(float_checkpoint, codec, None)
    assert made == as_compress_writes(float_checkpoint, codec, "native")


@pytest.mark.parametrize("quantiser", [*OF_WEIGHTS, *SCOPED])
def test_every_quantiser_of_weights(quantiser: str, float_checkpoint: Path) -> None:
    try:
        made = as_run_writes(float_checkpoint, "huffman", quantiser)
    except Unencodable:
        assert quantiser == "ongrid"  # the weights were not trained on a grid
        return
    assert made == as_compress_writes(float_checkpoint, "huffman", quantiser)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_checkpoints_of_other_floats(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {name: w.to(dtype) for name, w in Sized().build(0).float().state_dict().items()}
    path = tmp_path / "model.safetensors"
    path.write_bytes(state_dict.to_bytes(state))
    for quantiser in ("quantize:step=2^-4", "rdoq"):
        made = as_run_writes(path, "rans", quantiser)
        assert made == as_compress_writes(path, "rans", quantiser)
    prepared = prepare(Calibration(Sized(), 0), only(QUANTISERS, "quantize"), sources.of_file(path))
    (tmp_path / "small").write_bytes(compressed(prepared, only(CODECS, "rans")))
    decoded = decode_in_fresh_process(tmp_path / "small", tmp_path / "out")
    assert decoded.weights_sha256 == prepared.weights_sha256
    assert state_dict.load(tmp_path / "out")["1.weight"].dtype == dtype


@pytest.mark.parametrize("quantiser", ["gptq", "gptq-loss"])
def test_quantisers_that_look_at_data(quantiser: str, tmp_path: Path) -> None:
    """They write what a decoder turns into what they made, tied names and copies too."""
    for model in (Tiny(), Tied()):
        path = tmp_path / "model.safetensors"
        path.write_bytes(state_dict.to_bytes(model.build(0).state_dict()))
        link = only(QUANTISERS, quantiser)
        prepared = prepare(Calibration(model, 0), link, sources.of_file(path))
        assert prepared.calibration_sha256
        (tmp_path / "small").write_bytes(compressed(prepared, only(CODECS, "ans")))
        decoded = decode_in_fresh_process(tmp_path / "small")
        assert decoded.weights_sha256 == prepared.weights_sha256


def test_the_ledger_tells_what_was_quantized_from_the_rest(
    float_checkpoint: Path, tmp_path: Path
) -> None:
    quantiser = only(QUANTISERS, "quantize:step=2^-4")
    prepared = prepare(Calibration(Sized(), 0), quantiser, sources.of_file(float_checkpoint))
    data = compressed(prepared, only(CODECS, "huffman"))
    (tmp_path / "small").write_bytes(data)
    decoded = decode_in_fresh_process(tmp_path / "small")
    found = ledger(prepared, decoded.parts, len(data))
    assert sum(found.values()) == len(data)
    assert 0 < found["floats"] < 4 * 8000
    assert 0 < found["buffers"] < 8 * 2001
    rows = {row.name: row for row in prepared.sizes(Sized(), decoded.sizes)}
    assert rows["2.weight"].n_bytes == 0  # a copy of the one before
    assert rows["2.weight"].entropy_bits == 0
    assert "4.weight" not in rows  # tied
    entropy = sum((row.entropy_bits or 0) / 8 for row in rows.values())
    assert found["payload"] >= entropy
    bound = bound_bytes(prepared, CODECS.get("entropy")())
    assert entropy + 1 < bound <= entropy + found["floats"]


class ByData(Tiny):
    """Two layers of the same weights and other inputs: a copy before quantisation, none after."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 8), nn.Linear(8, 64))
        module[3].weight.data.copy_(module[0].weight.data)
        return module

    def calibration(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        mixing = torch.randn(3, 8, generator=generator)
        while True:
            yield torch.randn(32, 3, generator=generator) @ mixing


def test_a_copy_that_data_told_apart_is_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(state_dict.to_bytes(ByData().build(0).state_dict()))
    source = sources.of_file(path)
    assert sources.copies(source) == {"3.weight": "0.weight"}
    prepared = prepare(Calibration(ByData(), 0), only(QUANTISERS, "gptq"), source)
    first, second = prepared.coded["0.weight"], prepared.coded["3.weight"]
    assert not np.array_equal(first.values, second.values)
    (tmp_path / "small").write_bytes(compressed(prepared, only(CODECS, "ans")))
    decoded = decode_in_fresh_process(tmp_path / "small")
    assert decoded.weights_sha256 == prepared.weights_sha256


@pytest.mark.parametrize(
    ("recipe", "codec"), [("plain+rdoq", "rans"), ("plain+native", "float-rans")]
)
def test_a_run_and_then_compress(
    recipe: str,
    codec: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "results"
    done = bench(
        "run", "--models=digits-mlp:steps=3", f"--recipes={recipe}", f"--codecs={codec}",
        "--seeds=0", "--jobs=0", f"--out={out}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    store = Store(out)
    (point,) = store.all(CheckpointRecord)
    (size,) = store.all(CompressRecord)
    plain, small = store.find_artifact(point.artifact_sha256), tmp_path / "small.safetensors"
    ours = store.find_artifact(size.artifact_sha256)
    assert plain is not None
    assert ours is not None
    quantiser = recipe.partition("+")[2]
    how = [] if quantiser == "native" else [f"--quantize={quantiser}"]
    done = bench("compress", plain, "-o", small, f"--codec={codec}", *how, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert small.read_bytes() == ours.read_bytes()
    assert size.file_bytes == small.stat().st_size
    done = bench("verify", ours, "--against", plain, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "quantiser", ["rtn:granularity=channel:bits=4", "rdoq:step=2^-5", "native"]
)
def test_a_file_gives_back_what_its_codec_was_given(quantiser: str, tmp_path: Path) -> None:
    """Timing reads the integers of the file: it does not quantize again."""
    codec = "float-rans" if quantiser == "native" else "huffman"
    arguments = {"models": "digits-mlp:steps=3", "recipes": f"plain+{quantiser}", "codecs": codec}
    (cell,) = matrix.plan(Request(**arguments, seeds="0")).cells
    stages = Stages(Store(tmp_path), "missing", InlineProgress(Display(Console(quiet=True))))
    measured = stages.measure(cell, "test")
    prepared = stages.weights.quantized(cell, measured.checkpoint)
    path = stages.weights.artifact(measured.compress.artifact_sha256)
    read = coded_values(path, measured.compress)
    given = [prepared.coded[t.name].values for t in measured.compress.tensors if t.coded]
    assert [a.dtype for a in read.arrays] == [a.dtype for a in given]
    assert all(np.array_equal(a, b) for a, b in zip(read.arrays, given, strict=True))
