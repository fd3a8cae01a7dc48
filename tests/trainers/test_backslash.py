"""BackSlash's updates against the formulas of the paper, by finite differences and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from slashbench.contracts import Penalty, TrainingPlan
from slashbench.errors import TrainingDiverged
from slashbench.trainers import ggd, loop
from slashbench.trainers.backslash import CHUNK, BackSlash, RatePenalty


def parameters(*values: list[float]) -> dict[str, nn.Parameter]:
    return {str(i): nn.Parameter(torch.tensor(v)) for i, v in enumerate(values)}


def bound(regime: BackSlash, named: dict[str, nn.Parameter]) -> RatePenalty:
    penalty = regime.penalty(named)
    assert isinstance(penalty, RatePenalty)
    return penalty


def test_shape_is_that_of_all_parameters_together() -> None:
    generator = np.random.default_rng(0)
    draw = generator.laplace(size=400_000).astype(np.float32)
    named = {
        "a": nn.Parameter(torch.from_numpy(draw[: CHUNK + 17].copy())),
        "b": nn.Parameter(torch.from_numpy(draw[CHUNK + 17 :].copy())),
    }
    assert bound(BackSlash(), named).estimate_shape() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("eps", [1.0, 1e-2])
def test_gradient_is_the_derivative_of_the_rate_term(eps: float) -> None:
    weights = [0.3, -0.02, 0.7, -1.1]
    named = parameters(weights)
    named["0"].grad = torch.zeros(4)
    penalty = bound(BackSlash(lam=5.0, update="gradient", eps=eps), named)
    penalty.add_gradient()
    assert named["0"].grad is not None

    def rate(values: list[float]) -> float:
        return 5.0 / 4 * sum((abs(v) + eps) ** penalty.shape for v in values)

    for i in range(4):
        up, down = list(weights), list(weights)
        up[i] += 1e-6
        down[i] -= 1e-6
        numeric = (rate(up) - rate(down)) / 2e-6
        assert named["0"].grad[i].item() == pytest.approx(numeric, rel=1e-4)


def test_decoupled_step_by_hand() -> None:
    named = parameters([0.5, -0.25], [0.0])
    penalty = bound(BackSlash(lam=0.3, update="decoupled"), named)
    square, absolute = (0.25 + 0.0625) / 3, 0.75 / 3
    shape = ggd.shape_from_ratio(square / absolute**2)
    penalty.after_step()
    step = [0.3 * shape / 3 * (1 + a) ** (shape - 1) for a in (0.5, 0.25)]
    assert named["0"].tolist() == pytest.approx([0.5 - step[0], -0.25 + step[1]], rel=1e-6)
    assert named["1"].item() == 0.0  # the sign of an exact zero is zero


def test_proximal_step_stops_at_zero_where_the_decoupled_one_crosses() -> None:
    small = [1e-3, -1e-3, 0.9, -0.9]
    proximal, decoupled = parameters(small), parameters(small)
    bound(BackSlash(lam=1.0, update="proximal"), proximal).after_step()
    bound(BackSlash(lam=1.0, update="decoupled"), decoupled).after_step()
    assert proximal["0"][:2].tolist() == [0.0, 0.0]
    assert decoupled["0"][0] < 0 < decoupled["0"][1]
    assert proximal["0"][2:].tolist() == pytest.approx(decoupled["0"][2:].tolist())


def test_matrices_only_leaves_vectors_and_counts_without_them() -> None:
    named = {"w": nn.Parameter(torch.ones(2, 2)), "b": nn.Parameter(torch.ones(7))}
    penalty = bound(BackSlash(lam=1.0, scope="matrices"), named)
    penalty.after_step()
    assert penalty.count == 4
    assert (named["b"] == 1).all()
    assert (named["w"] < 1).all()


def test_all_zero_weights_stay_zero() -> None:
    named = parameters([0.0, 0.0, 0.0])
    penalty = bound(BackSlash(), named)
    penalty.after_step()
    assert named["0"].tolist() == [0.0, 0.0, 0.0]
    assert penalty.log()["zeros"] == 1.0


def test_nothing_in_scope_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to constrain"):
        BackSlash(scope="matrices").penalty(parameters([1.0]))


@pytest.mark.parametrize("settings", [{"lam": -1.0}, {"lam": math.inf}, {"eps": 0.0}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="finite number"):
        BackSlash(**settings)


class TestLoop:
    plan = TrainingPlan(steps=20, learning_rate=1e-2, warmup=2)

    def run(self, penalty: Penalty, scale: float = 1.0) -> tuple[nn.Module, loop.TrainingLog]:
        loop.seed_everything(3)
        module = nn.Linear(4, 2)
        x = torch.randn(8, 4) * scale

        def batches() -> Any:
            while True:
                yield x

        log = loop.train(module, batches(), lambda m, b: m(b).square().mean(), self.plan, penalty)
        return module, log

    def test_same_seed_same_bits(self) -> None:
        first, log = self.run(Penalty())
        second, _ = self.run(Penalty())
        assert torch.equal(first.weight, second.weight)  # type: ignore[arg-type]
        assert log.steps == 20
        assert log.rows[-1]["step"] == 20
        assert log.rows[-1]["loss"] < log.rows[0]["loss"]

    def test_hooks_stand_on_either_side_of_the_optimisers_step(self) -> None:
        calls: list[str] = []

        class Spy(Penalty):
            def add_gradient(self) -> None:
                calls.append("before")

            def after_step(self) -> None:
                calls.append("after")

        self.run(Spy())
        assert calls == ["before", "after"] * 20

    def test_a_loss_that_is_not_finite_stops_the_run(self) -> None:
        with pytest.raises(TrainingDiverged, match="lower the learning rate or lam"):
            self.run(Penalty(), scale=math.nan)
