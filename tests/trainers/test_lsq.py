"""Learned step sizes, against the equations of arXiv 1902.08153."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slashbench.contracts import TrainingPlan
from slashbench.errors import BadSetting
from slashbench.trainers.quantisers.ongrid import OnGrid
from slashbench.trainers.regimes.lsq import LSQ, LearnedSteps

PLAN = TrainingPlan(steps=200, learning_rate=1e-2, warmup=1)


def train(hook: LearnedSteps, weight: nn.Parameter, wanted: torch.Tensor, steps: int) -> None:
    for _ in range(steps):
        weight.grad = None
        hook.before_forward()
        (weight - wanted).square().sum().backward()
        hook.before_step()
        hook.after_step()


def test_steps_are_learned_until_the_error_is_least() -> None:
    """Weights stay (no optimiser here): the step sizes alone go to the least squared error."""
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(3, 4000, generator=generator) * torch.tensor([[0.5], [1.0], [4.0]])
    weight = nn.Parameter(wanted.clone())
    hook = LearnedSteps({"w": weight}, 3, 0.05, 0, PLAN)
    train(hook, weight, wanted, 200)
    learned = hook.step_sizes["w"]

    def error(steps: torch.Tensor) -> torch.Tensor:
        integers = (wanted / steps[:, None]).round().clamp(-3, 3)
        return (wanted - integers * steps[:, None]).square().sum(1)

    for factor in (0.9, 1.1):
        assert bool((error(learned) < error(learned * factor)).all())
    assert (learned[1:] / learned[:-1]).tolist() == pytest.approx([2.0, 4.0], rel=0.1)


def test_what_is_clipped_gets_no_gradient() -> None:
    weight = nn.Parameter(torch.tensor([[0.1, 0.1, -0.1, 9.0]]))
    hook = LearnedSteps({"w": weight}, 2, 1e-9, 0, PLAN)
    train(hook, weight, torch.zeros(1, 4), 1)
    assert weight.grad is not None
    assert weight.grad[0, 3] == 0
    assert weight.detach().tolist()[0] == pytest.approx([0.1, 0.1, -0.1, 9.0])  # the floats again


def test_the_end_lies_on_the_grid_of_few_bits() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 64))
    hook = LSQ(bits=3, begin=0.0).hook({"w": weight}, PLAN)
    assert isinstance(hook, LearnedSteps)
    train(hook, weight, torch.zeros(8, 64), 5)
    hook.finish()
    found = OnGrid().quantize("w", weight.detach().numpy())
    assert found is not None
    assert abs(found.values).max() <= 3
    with pytest.raises(BadSetting, match="from 2 to 8"):
        LSQ(bits=1)
