"""One cell from training to timing, on a real model with a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from slashbench.bench.models.catalog import MODELS
from slashbench.bench.pipeline.record_cache import OnExisting
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Cell, Request
from slashbench.bench.report.data import results
from slashbench.bench.store.store import Store, artifact_name
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Metrics, Model, Reference, Split, TrainingPlan
from slashbench.errors import StoreUnusable, VerificationMismatch
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    TimeRecord,
)


class Spy:
    """A watcher that remembers which stages did work."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, cell: Cell, name: str) -> None:
        self.stages.append(name)

    def progress(self, fraction: float, text: str) -> None:
        assert 0.0 <= fraction <= 1.0


def cells(recipes: str, codecs: str, model: str = "digits-mlp:steps=30") -> list[Cell]:
    return matrix.plan(Request(models=model, recipes=recipes, codecs=codecs, seeds="0")).cells


def run(
    folder: Path, wanted: list[Cell], on_existing: OnExisting = "missing"
) -> tuple[list[CellRecord], list[str]]:
    spy = Spy()
    stages = Stages(Store(folder), on_existing, spy)
    return [stages.cached_cell(cell) or stages.run(cell) for cell in wanted], spy.stages


def test_a_lossless_codec_trains_and_evaluates_nothing_again(tmp_path: Path) -> None:
    records, stages = run(tmp_path, cells("plain", "huffman,ans,zstd,entropy"))
    assert {record.status for record in records} == {"ok"}
    assert stages.count("train") == 1
    assert stages.count("evaluate") == 2  # the float checkpoint and the quantized weights
    assert stages.count("compress") == 4
    assert stages.count("time") == 3  # a bound has no speed
    assert len({record.evaluate for record in records}) == 1

    store = Store(tmp_path)
    for record in records:
        compressed = store.get(CompressRecord, record.compress)
        assert compressed is not None
        assert compressed.bound == (record.codec == "entropy")
        if not compressed.bound:
            artifact = store.find_artifact(compressed.artifact_sha256)
            assert artifact is not None
            assert artifact.stat().st_size == compressed.file_bytes
            assert sum(compressed.ledger.values()) == compressed.file_bytes
    assert run(tmp_path, cells("plain", "huffman,ans,zstd,entropy"))[1] == []


def test_the_chain_shares_its_beginning(tmp_path: Path) -> None:
    _, stages = run(tmp_path, cells("plain,plain+prune:sparsity=0.5/0.9", "pack"))
    assert stages.count("train") == 1
    assert stages.count("prune") == 2
    points = list(Store(tmp_path).all(CheckpointRecord))
    assert {point.recipe for point in points} == {
        "plain",
        "plain+prune:sparsity=0.5",
        "plain+prune:sparsity=0.9",
    }
    assert {point.n_parameters for point in points} == {85_002}
    assert {point.native_bytes for point in points} == {4 * 85_002}


def test_records_say_what_was_measured_and_where(tmp_path: Path) -> None:
    (record,), _ = run(tmp_path, cells("backslash:lam=10", "huffman"))
    store = Store(tmp_path)
    point = store.get(CheckpointRecord, record.checkpoint)
    timing = store.get(TimeRecord, record.time)
    metric = store.get(EvaluateRecord, record.evaluate)
    assert point is not None
    assert point.training is not None
    assert point.training.steps == 30
    assert {"step", "loss", "shape", "zeros"} <= point.training.log[-1].keys()
    assert len(point.inputs["digits"]) == 64
    assert timing is not None
    assert timing.encode is not None
    assert len(timing.encode.wall_ns) == len(timing.encode.cpu_ns) >= 3
    assert metric is not None
    assert metric.n == len(metric.per_item) == 397
    assert metric.value == pytest.approx(sum(metric.per_item) / 397)
    where = record.provenance
    assert where.libraries["torch"] == torch.__version__
    assert where.cpu_count >= 1
    assert where.command_line.startswith("bench")


def test_same_seed_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    def sizes(folder: str, seeds: str) -> list[tuple[float, str]]:
        wanted = matrix.plan(
            Request(models="digits-mlp:steps=30", recipes="plain", codecs="ans", seeds=seeds)
        ).cells
        run(tmp_path / folder, wanted)
        found = Store(tmp_path / folder).all(CompressRecord)
        return [(record.file_bytes, record.weights_sha256) for record in found]

    first = sizes("a", "0")
    assert sizes("b", "0") == first
    assert sizes("c", "1") != first


def test_damaged_files_are_made_again(tmp_path: Path) -> None:
    wanted = cells("plain", "huffman")
    run(tmp_path, wanted)
    (point,) = Store(tmp_path).all(CheckpointRecord)
    (tmp_path / artifact_name(point.artifact_sha256)).write_bytes(b"damaged")
    for path in (tmp_path / "records" / "compress").rglob("*.json"):
        path.write_text("{")
    records, stages = run(tmp_path, wanted)
    assert records[0].status == "ok"
    assert stages == ["train", "compress"]
    again = Store(tmp_path).get(CheckpointRecord, point.key)
    assert again is not None
    assert again.artifact_sha256 == point.artifact_sha256


def test_always_runs_everything_again(tmp_path: Path) -> None:
    wanted = cells("plain", "huffman,pack")
    run(tmp_path, wanted)
    spy = Spy()
    for path in (tmp_path / "records").rglob("*.json"):  # as if the clock had been ahead
        record = json.loads(path.read_text())
        record["provenance"]["measured_at"] = "2099" + record["provenance"]["measured_at"][4:]
        path.write_text(json.dumps(record))
    stages = Stages(Store(tmp_path), "always", spy)
    for cell in wanted:
        assert stages.cached_cell(cell) is None
        stages.run(cell)
    assert spy.stages.count("train") == 1
    assert spy.stages.count("compress") == 2
    assert all(stages.cached_cell(cell) for cell in wanted)
    other = Stages(
        Store(tmp_path), "always", spy, run=stages.records.run
    )  # another process of the run
    assert all(other.cached_cell(cell) for cell in wanted)


def test_a_failure_is_a_record_and_the_run_goes_on(tmp_path: Path) -> None:
    wanted = cells("plain+quantize:step=1e-30,plain", "huffman")
    records, _ = run(tmp_path, wanted)
    assert [record.status for record in records] == ["failed", "ok"]
    assert "too fine" in records[0].reason
    (failed,) = [r for r in Store(tmp_path).all(CompressRecord) if r.status == "failed"]
    assert "Unencodable" in failed.traceback_tail
    assert run(tmp_path, wanted)[1] == []  # `missing` does not try again
    assert run(tmp_path, wanted, "failed")[1] == ["compress"]


class Odd(Model):
    """A module with a tied tensor, an integer buffer, a float buffer and a failing metric."""

    source: ClassVar[str] = "tests"
    licence: ClassVar[str] = "MIT"
    metric: ClassVar[str] = "nothing"
    tolerance: ClassVar[float] = 1.0

    def __init__(self, fails: str = "", scale: float = 1.0) -> None:
        self.fails, self.scale = fails, scale

    @property
    def plan(self) -> TrainingPlan | None:
        return TrainingPlan(steps=2, learning_rate=1e-3, warmup=1)

    def inputs(self) -> dict[str, str]:
        return {}

    def build(self, seed: int) -> nn.Module:
        module = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6))
        module[2].weight = module[0].weight
        module.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
        return module

    def batches(self, seed: int) -> Iterator[Any]:
        while True:
            yield torch.randn(4, 6)

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = module(batch).square().mean()
        return loss

    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        if self.fails == "memory":
            raise MemoryError
        if self.fails == "room":
            Path("/dev/full").write_text("more than it takes")
        value = module.get_parameter("0.bias").sum().item() * self.scale
        assert module.get_parameter("2.weight") is module.get_parameter("0.weight")
        return Metrics(
            name="nothing",
            value=value,
            stderr=float("nan") if self.fails == "stderr" else 0.0,
            n=1,
            higher_is_better=True,
            per_item=[value],
        )


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    entries, loaded = dict(MODELS._entries), dict(MODELS._loaded)
    monkeypatch.setattr(MODELS, "_entries", entries)
    monkeypatch.setattr(MODELS, "_loaded", loaded)
    MODELS.register("odd")(Odd)


@pytest.mark.usefixtures("odd")
def test_tied_tensors_and_buffers(tmp_path: Path) -> None:
    (record, *others), _ = run(
        tmp_path,
        cells("plain,plain+prune:sparsity=0.5,plain+quantize:scope=all", "ans", model="odd"),
    )
    for each in (record, *others):
        assert each.status == "ok", each.reason
    store = Store(tmp_path)
    point = store.get(CheckpointRecord, record.checkpoint)
    compressed = store.get(CompressRecord, others[1].compress)
    assert point is not None
    assert compressed is not None
    # one 6x6 matrix, two biases, norm weight and bias; running mean and variance are buffers
    assert point.n_parameters == 36 + 4 * 6
    sizes = {tensor.name: tensor for tensor in compressed.tensors}
    assert "2.weight" not in sizes
    assert sizes["0.weight"].kind == "matrix"
    assert sizes["0.weight"].coded
    assert sizes["1.num_batches_tracked"].kind == "buffer"
    assert compressed.ledger["buffers"] == 8 + 4 * (6 + 6 + 16)
    assert compressed.kept == dict.fromkeys(
        ["1.running_mean", "1.running_var", "mask"], "it is a buffer of the model"
    )


@pytest.mark.usefixtures("odd")
def test_out_of_memory_is_a_reason(tmp_path: Path) -> None:
    (record,), _ = run(tmp_path, cells("plain", "ans", model="odd:fails=memory"))
    assert record.status == "failed"
    assert record.reason == "evaluate: out of memory"


@pytest.mark.usefixtures("odd")
def test_a_metric_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    (record,), _ = run(tmp_path, cells("plain", "ans", model="odd:scale=inf"))
    assert record.status == "failed"
    assert "not finite" in record.reason


@pytest.mark.usefixtures("odd")
def test_a_metric_of_one_item_has_no_standard_error(tmp_path: Path) -> None:
    (record,), _ = run(tmp_path, cells("plain", "ans", model="odd:fails=stderr"))
    assert record.status == "ok", record.reason
    metric = Store(tmp_path).get(EvaluateRecord, record.evaluate)
    assert metric is not None
    assert metric.stderr is None
    (row,) = results.load(Store(tmp_path)).rows
    assert row.stderr is None


@pytest.mark.usefixtures("odd")
def test_a_full_disk_is_no_property_of_a_cell(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="No space left on device; make room"):
        run(tmp_path, cells("plain", "ans", model="odd:fails=room"))
    assert not Store(tmp_path).cells()
    assert not list(Store(tmp_path).all(EvaluateRecord))


def test_decoded_weights_that_differ_are_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec whose bytes hold other symbols: the fresh process notices."""
    (cell,) = cells("plain", "pack")
    pack = type(cell.codec.item)
    honest = pack.encode_chunks
    monkeypatch.setattr(pack, "encode_chunks", lambda self, all, size: honest(self, all + 1, size))
    with pytest.raises(VerificationMismatch, match="not the weights that were encoded"):
        Stages(Store(tmp_path), "missing", Spy()).run(cell)
    (record,) = Store(tmp_path).cells()
    assert record.status == "failed"


def test_plan_leaves_out_what_cannot_be_a_cell() -> None:
    plan = matrix.plan(
        Request(models="antiberty", recipes="plain+native,backslash", codecs="zstd,huffman")
    )
    assert [str(cell) for cell in plan.cells] == ["antiberty · plain+native · zstd · seed 0"]
    assert any("post-training recipes only" in why for why in plan.left_out.values())
    assert any("do not take floats" in why for why in plan.left_out.values())


def test_plan_names_every_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CODECS._entries["ans"]
    monkeypatch.setitem(CODECS._entries, "ans", replace(entry, needs=("not_here",)))
    monkeypatch.delitem(CODECS._loaded, "ans", raising=False)
    plan = matrix.plan(Request(models="digits-mlp", recipes="plain", codecs="all"))
    assert "pip install" in plan.left_out["codec ans"]
    assert "ans" not in {cell.codec.name for cell in plan.cells}


def test_plan_reports_a_plugin_that_was_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CODECS, "problems", ["plug-in of thief skipped: 'huffman' is taken"])
    plan = matrix.plan(Request(models="digits-mlp", recipes="plain", codecs="pack"))
    assert plan.left_out == {"codec plug-in 1": "plug-in of thief skipped: 'huffman' is taken"}
