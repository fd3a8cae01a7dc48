"""Calibration data: training data only, hashed, and part of what a record says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from slashbench.bench.data.germlines import Germlines
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.bench.models.kjv_gpt import KjvGpt
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.bench.store.store import Store
from slashbench.contracts import Calibration, Model
from slashbench.digest import sha256_of
from slashbench.errors import UsageError
from slashbench.record import CheckpointRecord, CompressRecord, decode
from tests.helpers.quiet import Quiet
from tests.helpers.tiny_models import Tiny


def test_the_hash_is_of_dtype_shape_and_bits() -> None:
    batch = (torch.arange(6), {"b": torch.ones(2), "a": torch.zeros(2)})
    same = (torch.arange(6), {"a": torch.zeros(2), "b": torch.ones(2)})
    assert sha256_of([batch]) == sha256_of([same])
    assert sha256_of([]) == ""
    others = [
        [batch, batch],
        [(torch.arange(6).view(2, 3), batch[1])],
        [(torch.arange(6).int(), batch[1])],
        [(-torch.arange(6), batch[1])],
    ]
    assert len({sha256_of([batch]), *map(sha256_of, others)}) == 5


def test_a_model_without_batches_says_so() -> None:
    class Bare(Tiny):
        calibration = Model.calibration

    with pytest.raises(UsageError, match="Bare has no batches to train or calibrate by"):
        Calibration(Bare(), 0).batches(1)


def test_seed_and_count_fix_the_batches() -> None:
    def drawn(seed: int, count: int) -> str:
        calibration = Calibration(DigitsMLP(), seed)
        assert calibration.sha256 == ""
        assert len(calibration.batches(count)) == count
        return calibration.sha256

    assert drawn(0, 2) == drawn(0, 2)
    assert len({drawn(0, 2), drawn(1, 2), drawn(0, 3)}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "digits-mlp",
        pytest.param("kjv-gpt", marks=pytest.mark.thorough),
        "minilm-block",
        pytest.param("antiberty", marks=pytest.mark.thorough),
    ],
)
def test_every_kind_of_model_can_be_calibrated(name: str) -> None:
    model = MODELS.get(name)()
    calibration = Calibration(model, 0)
    weights = model.build(0).state_dict()
    (batch,) = calibration.batches(1)
    loss = calibration.forward(calibration.module(weights), batch)
    assert loss.shape == ()
    assert torch.isfinite(loss)


def test_no_digit_of_a_calibration_set_is_held_out() -> None:
    held_out = {
        image.tobytes()
        for split in ("validation", "test")
        for image in DigitsMLP().data.part(split)[0]
    }
    for images, _ in Calibration(DigitsMLP(), 0).batches(40):
        assert not held_out & {image.tobytes() for image in images.numpy()}


def test_no_window_of_text_is_held_out() -> None:
    model = KjvGpt()
    held_out = "\n".join(model.data.by_book("test") + model.data.by_book("validation"))
    (batch,) = Calibration(model, 0).batches(1)
    for text in model.tokenizer.decode_batch(batch[:4].tolist()):
        assert text not in held_out


def test_no_germline_of_the_benchmark_is_calibrated_on() -> None:
    data = Germlines()
    assert len(data.other_species) > 1000
    assert not set(data.other_species) & set(data.sequences)


def test_records_say_what_was_drawn(tmp_path: Path) -> None:
    cells = matrix.plan(
        Request(
            models="digits-mlp:steps=30",
            recipes="plain+wanda:batches=3+gptq,plain+prune+quantize,plain+wanda:batches=4+gptq",
            codecs="rans",
            seeds="0",
        )
    ).cells
    stages, store = Stages(Store(tmp_path), "missing", Quiet()), Store(tmp_path)
    found = []
    for cell in cells:
        record = stages.run(cell)
        assert record.status == "ok", record.reason
        point = store.get(CheckpointRecord, record.checkpoint)
        compressed = store.get(CompressRecord, record.compress)
        assert point is not None
        assert compressed is not None
        found.append((point.calibration_sha256, compressed.calibration_sha256))

    def drawn(count: int) -> str:
        calibration = Calibration(DigitsMLP(steps=30), 0)
        calibration.batches(count)
        return calibration.sha256

    assert found == [(drawn(3), drawn(8)), ("", ""), (drawn(4), drawn(8))]


def test_records_from_before_calibration_was_recorded_still_decode() -> None:
    line = Path(__file__).with_name("record_without_calibration.json").read_bytes()
    assert b"calibration" not in line
    record = decode(line)
    assert isinstance(record, CompressRecord)
    assert record.calibration_sha256 == ""
