"""What regimes cost: one training step for all, the time in the hook apart."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
from torch import nn

from slashbench.bench.models.catalog import MODELS
from slashbench.bench.speed import trainer_speed
from slashbench.contracts import Model, Regime, TrainingHook, TrainingPlan
from slashbench.errors import UsageError
from slashbench.link import Link, only
from slashbench.trainers.catalog import REGIMES

PAUSE_S = 0.02


class Slow(Regime):
    """Waits at each of its moments."""

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        return SlowHook()


class SlowHook(TrainingHook):
    def before_forward(self) -> None:
        time.sleep(PAUSE_S)

    def before_step(self) -> None:
        time.sleep(PAUSE_S)

    def after_step(self) -> None:
        time.sleep(PAUSE_S)


def digits() -> Link[Model]:
    return only(MODELS, "digits-mlp")


def test_the_time_in_a_hook_is_told_from_the_rest() -> None:
    slow = Link[Regime]("slow", Slow(), "slow", {})
    regimes = [slow, only(REGIMES, "backslash:lam=1")]
    speeds = trainer_speed.run(digits(), regimes, 4, lambda *_: None)
    assert [speed.regime for speed in speeds] == ["plain", "slow", "backslash:lam=1"]
    assert all(len(speed.regime_ns) == len(speed.step.wall_ns) == 2 for speed in speeds)
    plain, slowed, _ = speeds
    assert min(slowed.regime_ns) >= 3 * PAUSE_S * 1e9
    assert all(
        inside < whole for inside, whole in zip(slowed.regime_ns, slowed.step.wall_ns, strict=True)
    )
    assert max(plain.regime_ns) < PAUSE_S * 1e9


def test_a_model_that_is_not_trained_here_is_refused() -> None:
    with pytest.raises(UsageError, match="bench list models"):
        trainer_speed.run(only(MODELS, "minilm-block"), [], 4, lambda *_: None)
