"""A regime that trains on from what links before it made, and is taught by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Request, plan
from slashbench.bench.store.store import Store
from slashbench.contracts import Course, Prediction, Regime, TrainingPlan, Weights
from slashbench.errors import BadSetting, UsageError
from slashbench.link import only
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.recipe import recipes
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.training import loop, schedule
from slashbench.trainers.training.setup import Trained, train_model
from tests.helpers.quiet import Quiet
from tests.helpers.snapshot_memory import SnapshotMemory


class Noisy(DigitsMLP):
    """A linear model whose labels are noise, in 30 steps."""

    @property
    def plan(self) -> TrainingPlan:
        return TrainingPlan(steps=30, learning_rate=1e-2, warmup=2)

    def build(self, seed: int) -> nn.Module:
        return nn.Linear(6, 4)

    def batches(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield (
                torch.randn(16, 6, generator=generator),
                torch.randint(4, (16,), generator=generator),
            )


def of(text: str) -> Regime:
    return only(REGIMES, text).item


def trained(text: str, **others: Any) -> tuple[Weights, loop.TrainingLog]:
    return train_model(Noisy(), of(text), 0, **others)


def before(weights: Weights, teacher: Weights | None = None) -> Trained:
    return Trained(weights, teacher or weights, 30)


def test_training_goes_on_from_the_weights_and_after_the_batches_before() -> None:
    first, _ = trained("plain")
    seen: list[Any] = []

    class Spy(Noisy):
        def predict(self, module: nn.Module, batch: Any) -> Prediction:
            seen.append((batch[0].clone(), module.weight.detach().clone()))
            return super().predict(module, batch)

    train_model(Spy(), Plain(), 0, before=before(first))
    source = Noisy().batches(0)
    wanted = [next(source)[0] for _ in range(31)][30]
    assert torch.equal(seen[0][0], wanted)
    assert torch.equal(seen[0][1], first["weight"])


def test_a_student_ends_nearer_to_its_teacher_than_to_the_labels() -> None:
    teacher = {"weight": 2 * torch.eye(4, 6), "bias": torch.zeros(4)}
    start = before({"weight": torch.zeros(4, 6), "bias": torch.zeros(4)}, teacher)
    found = {}
    for share in ("0", "0.5", "1"):
        weights, log = trained(f"plain:peak=10:longer=4:distil={share}", before=start)
        apart = weights["weight"] - teacher["weight"]
        found[share] = float((apart - apart.mean(0)).norm())  # logits have a free constant
    assert found["1"] < found["0.5"] < found["0"]
    assert log.rows[-1]["divergence"] < 0.3 * log.rows[0]["divergence"]


def test_the_loss_is_labels_and_teacher_by_their_shares() -> None:
    first, _ = trained("plain")
    teacher = {"weight": torch.eye(4, 6), "bias": torch.zeros(4)}
    _, log = trained("plain:distil=0.25", before=before(first, teacher))
    source = Noisy().batches(0)
    images, labels = [next(source) for _ in range(31)][30]
    answers = functional.linear(images, first["weight"], first["bias"])
    wanted = functional.linear(images, teacher["weight"], teacher["bias"])
    divergence = (wanted.softmax(-1) * (wanted.log_softmax(-1) - answers.log_softmax(-1))).sum(-1)
    loss = 0.75 * functional.cross_entropy(answers, labels) + 0.25 * divergence.mean()
    assert log.rows[0]["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_fresh_weights_are_taught_by_trained_ones() -> None:
    first, _ = trained("plain")
    scratch, _ = trained("plain")
    fresh, log = trained("plain:distil=0:fresh=true", before=before(first))
    assert not torch.equal(fresh["weight"], first["weight"])
    assert log.rows[0]["loss"] > 1.0
    assert torch.equal(scratch["weight"], first["weight"])


def test_without_a_teacher_nothing_is_distilled() -> None:
    with pytest.raises(UsageError, match="train one in a link before"):
        trained("backslash:lam=1:distil=0.5")
    with pytest.raises(BadSetting, match="at most 1"):
        Course(distil=1.5)


@pytest.mark.parametrize("stopped", [2, 20])
@pytest.mark.parametrize(
    ("regime", "start"),
    [
        ("backslash-q:lam=0.1:step=2^-3:begin=0.4:distil=0.5", None),  # its own float weights teach
        ("backslash-q:lam=0.1:step=2^-3:granularity=channel:begin=0.2:distil=0.5", "plain"),
        ("plain:decay=0.1:average=0.9", None),
    ],
)
def test_a_killed_run_goes_on_with_the_same_teacher(
    regime: str, start: str | None, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    earlier = before(trained(start)[0]) if start else None
    whole, log = trained(regime, before=earlier)
    memory = SnapshotMemory(stopped)
    trained(regime, before=earlier, snapshots=memory)
    again, later = trained(regime, before=earlier, snapshots=memory)
    assert torch.equal(again["weight"], whole["weight"])
    assert later.rows == log.rows


def test_the_average_lags_behind_the_weights() -> None:
    last, _ = trained("plain")
    mean, _ = trained("plain:average=0.99")
    start = Noisy()
    torch.manual_seed(0)
    first = start.build(0).weight.detach()
    assert 0 < (mean["weight"] - first).norm() < (last["weight"] - first).norm()


def test_weights_that_move_are_counted_and_the_budget_is_the_sum_of_rates() -> None:
    _, log = trained("qat:step=2^-6:begin=0.5")
    seen = log.rows[-1]
    rates = [schedule.learning_rate(step, Noisy().plan) for step in range(15, 30)]
    assert seen["drift"] == pytest.approx(sum(rates) / 2**-6, rel=1e-5)
    assert 0 < seen["moved"] <= 1
    assert "drift" not in log.rows[5]


def test_a_chain_shares_its_first_links_and_bears_their_cost(tmp_path: Path) -> None:
    chain = "plain+backslash-q:distil=0.7:longer=0.5+watersic:step=2^-2"
    (cell,) = plan(
        Request(models="digits-mlp:steps=20", recipes=chain, codecs="rans", seeds="0")
    ).cells
    stages = Stages(Store(tmp_path), "missing", Quiet())
    first, second = stages.checkpoint(cell, 0), stages.checkpoint(cell, 1)
    assert first.training is not None and second.training is not None
    assert (first.recipe, first.training.steps) == ("plain", 20)
    assert (second.training.steps, len(second.training.log)) == (30, 10)
    assert second.training.cpu_s > first.training.cpu_s
    made = stages.measure(cell, "validation")
    assert made.evaluate.reference_sha256 == second.weights_sha256


def test_a_setting_that_came_later_changes_no_identity_at_its_default() -> None:
    known = {"name": "plain", "revision": 1, "settings": {"longer": 1.0}}
    assert only(REGIMES, "plain").identity == known
    assert only(REGIMES, "plain:average=0.9").identity["settings"]["average"] == 0.9


@pytest.mark.parametrize("name", ["gg-init", "lora"])
def test_what_prepares_the_first_weights_is_no_later_link(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} prepares .* can only be the first link"):
        recipes(f"plain+{name}", {})


def test_the_quantiser_is_that_of_the_last_regime() -> None:
    (found,) = recipes("plain+qat:step=2^-3+prune:sparsity=0.5", {"qat": {"begin": 0.5}})
    assert found.text == "plain+qat:step=2^-3:begin=0.5+prune:sparsity=0.5+quantize:step=2^-3"
    assert found.training == "plain+qat:step=2^-3:begin=0.5"
    assert found.trained == 1


def test_a_rate_phase_goes_on_from_the_integers_of_a_quantiser() -> None:
    start, _ = trained("plain:longer=4")
    step = 2**-4
    on_grid = {"weight": (start["weight"] / step).round() * step, "bias": start["bias"]}
    regime = "backslash-q:step=2^-4:granularity=channel:grid=found:begin=0:peak=0.01:distil=1"
    ended, log = trained(regime + ":lam=0", before=before(on_grid, start))
    assert torch.equal(ended["weight"], on_grid["weight"])  # too slow to leave a cell
    assert log.rows[-1]["moved"] == 0
    floats, _ = trained(regime + ":lam=0:finish=float", before=before(on_grid, start))
    assert not torch.equal(floats["weight"], on_grid["weight"])
    with pytest.raises(UsageError, match="lies on no grid"):
        trained(regime, before=before(start))


@pytest.mark.parametrize("chain", ["plain+delta+plain", "plain+delta+delta+quantize"])
def test_what_takes_whole_weights_stands_before_delta(chain: str) -> None:
    with pytest.raises(UsageError, match="before delta"):
        recipes(chain, {})
