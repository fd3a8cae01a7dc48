"""BackSlash's updates against the formulas of the paper, by finite differences and by hand."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from slashbench.contracts import TrainingPlan
from slashbench.errors import TrainingDiverged, UsageError
from slashbench.trainers.numerics import ggd
from slashbench.trainers.regimes.backslash import BackSlash, BackSlashRegime
from slashbench.trainers.regimes.norm import Norm
from slashbench.trainers.training.parameters import PIECE
from slashbench.trainers.training.schedule import Strength

PLAN = TrainingPlan(steps=10, learning_rate=1e-2, warmup=2)


def parameters(*values: list[float]) -> dict[str, nn.Parameter]:
    return {str(i): nn.Parameter(torch.tensor(v)) for i, v in enumerate(values)}


def bound(named: dict[str, nn.Parameter], lam: float, **settings: Any) -> BackSlash:
    return BackSlash(named, lam, **{"scope": "all", **settings})


def test_shape_is_that_of_all_parameters_together() -> None:
    draw = np.random.default_rng(0).laplace(size=PIECE + 140_000).astype(np.float32)
    named = {
        "a": nn.Parameter(torch.from_numpy(draw[: PIECE + 17].copy())),
        "b": nn.Parameter(torch.from_numpy(draw[PIECE + 17 :].copy())),
    }
    hook = bound(named, 0.0)
    hook.after_step()
    assert hook.log()["shape"] == pytest.approx(1.0, abs=0.01)


def test_a_shape_for_each_tensor() -> None:
    generator = np.random.default_rng(0)
    named = {
        "laplace": nn.Parameter(torch.from_numpy(generator.laplace(size=100_000))),
        "normal": nn.Parameter(torch.from_numpy(generator.normal(size=300_000))),
    }
    before = {name: p.detach().clone() for name, p in named.items()}
    hook = bound(named, 400.0, update="decoupled", shapes="per-tensor")
    hook.after_step()
    assert hook.log()["shape"] == pytest.approx((1.0 + 3 * 2.0) / 4, abs=0.05)
    for name, shape in (("laplace", 1.0), ("normal", 2.0)):
        moved = (before[name] - named[name]).abs()
        expected = 400 / 400_000 * shape * (1 + before[name].abs()) ** (shape - 1)
        assert moved.mean().item() == pytest.approx(expected.mean().item(), rel=0.03)


@pytest.mark.parametrize("eps", [1.0, 1e-2])
@pytest.mark.parametrize("shape", [None, 0.5, 1.0, 2.0])
def test_gradient_is_the_derivative_of_the_rate_term(eps: float, shape: float | None) -> None:
    weights = [0.3, -0.02, 0.7, -1.1]
    named = parameters(weights)
    named["0"].grad = torch.zeros(4)
    hook = bound(named, 5.0, update="gradient", eps=eps, shape=shape)
    hook.before_step()
    used = hook.log()["shape"]

    def rate(values: list[float]) -> float:
        return sum((abs(v) + eps) ** used for v in values) / 4

    assert hook.log()["rate"] == pytest.approx(rate(weights), rel=1e-5)
    for i in range(4):
        up, down = list(weights), list(weights)
        up[i] += 1e-6
        down[i] -= 1e-6
        numeric = 5.0 * (rate(up) - rate(down)) / 2e-6
        assert named["0"].grad[i].item() == pytest.approx(numeric, rel=1e-4)


def test_decoupled_step_by_hand() -> None:
    named = parameters([0.5, -0.25], [0.0])
    hook = bound(named, 0.3, update="decoupled")
    square, absolute = (0.25 + 0.0625) / 3, 0.75 / 3
    shape = ggd.shape_from_ratio(square / absolute**2)
    hook.after_step()
    step = [0.3 * shape / 3 * (1 + a) ** (shape - 1) for a in (0.5, 0.25)]
    assert named["0"].tolist() == pytest.approx([0.5 - step[0], -0.25 + step[1]], rel=1e-6)
    assert named["1"].item() == 0.0  # the sign of an exact zero is zero
    assert hook.log()["zeros"] == pytest.approx(1 / 3)


def test_proximal_step_stops_at_zero_where_the_decoupled_one_crosses() -> None:
    small = [1e-3, -1e-3, 3.0, -3.0]
    proximal, decoupled = parameters(small), parameters(small)
    bound(proximal, 1.0, update="proximal").after_step()
    bound(decoupled, 1.0, update="decoupled").after_step()
    assert proximal["0"][:2].tolist() == [0.0, 0.0]
    assert decoupled["0"][0] < 0 < decoupled["0"][1]
    assert proximal["0"][2:].tolist() == pytest.approx(decoupled["0"][2:].tolist())


def test_a_tensor_that_is_not_contiguous_is_treated_alike() -> None:
    values = torch.linspace(-1, 1, 12)
    plain = nn.Parameter(values.view(3, 4).clone())
    turned = nn.Parameter(values.view(3, 4).clone().t().contiguous().t())
    for parameter in (plain, turned):
        bound({"w": parameter}, 1.0, update="decoupled").after_step()
    assert torch.equal(plain, turned)


def test_matrices_only_leaves_vectors_and_counts_without_them() -> None:
    named = {"w": nn.Parameter(torch.ones(2, 2)), "b": nn.Parameter(torch.ones(7))}
    hook = BackSlash(named, 0.1, scope="matrices")
    hook.after_step()
    assert sum(p.numel() for p in hook.constrained()) == 4
    assert (named["b"] == 1).all()
    assert (named["w"] < 1).all()


def test_a_parameter_without_a_gradient_is_left_alone_and_counted() -> None:
    named = parameters([0.5, 0.0], [0.3])
    named["1"].grad = torch.zeros(1)
    hook = bound(named, 1.0, update="gradient")
    hook.before_step()
    hook.after_step()
    assert named["0"].grad is None
    assert hook.log()["zeros"] == pytest.approx(1 / 3)


def test_shared_parameters_count_once_and_frozen_ones_not_at_all() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    module[2].weight.requires_grad = False
    frozen = module[2].weight.detach().clone()
    hook = BackSlash(module, 0.1, scope="matrices")
    hook.after_step()
    assert sum(p.numel() for p in hook.constrained()) == 9
    assert torch.equal(module[2].weight, frozen)


def test_acting_every_few_steps_has_the_same_strength_in_total() -> None:
    each, seldom = parameters([0.5, -0.7, 0.3]), parameters([0.5, -0.7, 0.3])
    for named, every in ((each, 1), (seldom, 4)):
        hook = bound(named, 1e-3, update="decoupled", shape=1.0, every=every)
        for _ in range(8):
            hook.after_step()
    assert seldom["0"].tolist() == pytest.approx(each["0"].tolist(), rel=1e-5)


def test_strength_follows_the_schedule() -> None:
    named = parameters([1.0])
    strength = Strength(4, warmup=0.5, finetune=0.25).at
    hook = bound(named, 0.01, update="decoupled", shape=1.0, strength=strength)
    path = []
    for _ in range(4):
        hook.after_step()
        path.append(named["0"].item())
    assert path == pytest.approx([0.995, 0.985, 0.975, 0.975])


def test_the_gradient_form_must_be_called_before_the_optimiser() -> None:
    named = parameters([1.0])
    hook = bound(named, 1.0, update="gradient")
    with pytest.raises(UsageError, match="before_step"):
        hook.after_step()
    named["0"].grad = torch.zeros(1)
    hook.before_step()
    hook.after_step()


def test_weights_that_all_vanished_are_an_error() -> None:
    hook = bound(parameters([0.01, -0.02]), 1e3, update="proximal")
    with pytest.raises(TrainingDiverged, match=r"became zero.*lower it"):
        hook.after_step()


def test_weights_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(TrainingDiverged, match="not finite"):
        bound(parameters([math.nan, 1.0]), 1.0).after_step()


def test_nothing_in_scope_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to constrain; scope=all"):
        BackSlashRegime(scope="matrices").hook(parameters([1.0]), PLAN)


@pytest.mark.parametrize(
    "settings",
    [
        {"lam": -1.0},
        {"lam": math.inf},
        {"eps": 0.0},
        {"every": 0},
        {"warmup": 0.7, "finetune": 0.7},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|shares"):
        BackSlashRegime(**settings)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_a_norm_is_the_rate_term_with_its_shape_fixed(p: float) -> None:
    named = parameters([0.3, -0.6])
    named["0"].grad = torch.zeros(2)
    Norm(p=p, lam=3.0, eps=1e-9).hook(named, PLAN).before_step()
    expected = [3 / 2 * p * 0.3 ** (p - 1), -3 / 2 * p * 0.6 ** (p - 1)]
    assert named["0"].grad.tolist() == pytest.approx(expected, rel=1e-5)


class Allocations(TorchDispatchMode):
    """Bytes of the tensors that torch operations make, at most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not any(
            isinstance(a, torch.Tensor)
            and a.untyped_storage().data_ptr() == out.untyped_storage().data_ptr()
            for a in args
        ):
            storage = out.untyped_storage()
            self.live[id(out)] = storage.nbytes()
            self.peak = max(self.peak, sum(self.live.values()))
            weakref.finalize(out, self.live.pop, id(out), None)
        return out


@pytest.mark.parametrize("update", ["gradient", "decoupled", "proximal"])
def test_temporaries_are_smaller_than_the_largest_tensor(update: Any) -> None:
    weight = nn.Parameter(torch.randn(2000, 2000))
    weight.grad = torch.zeros_like(weight)
    hook = BackSlash({"w": weight}, 1.0, update=update)
    with Allocations() as seen:
        hook.before_step()
        hook.after_step()
    assert 0 < seen.peak <= weight.numel() * weight.element_size()
