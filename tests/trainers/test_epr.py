"""EPR: learned densities against the entropy that they stand for, and what a price does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slashbench.contracts import TrainingPlan
from slashbench.trainers.numerics.learned_density import LearnedDensities, place, shares, slopes
from slashbench.trainers.quantisers.ongrid import OnGrid
from slashbench.trainers.regimes.epr import EPR, NoisyRate

PLAN = TrainingPlan(steps=150, learning_rate=2e-2, warmup=1)


def learned(values: torch.Tensor, steps: int) -> tuple[LearnedDensities, float]:
    """Return densities learned from one tensor's values, and the bits they take at the end."""
    densities = LearnedDensities(1)
    optimizer = torch.optim.Adam(densities.parameters(), lr=2e-2)
    spent = torch.zeros(())
    for _ in range(steps):
        table = densities.table()
        noisy = place(values + torch.rand_like(values) - 0.5)
        spent = (shares([noisy], table.shape[1]) * table).sum() / values.numel()
        optimizer.zero_grad()
        spent.backward()
        optimizer.step()
    return densities, float(spent.detach())


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_a_learned_density_comes_near_the_entropy(scale: float) -> None:
    torch.manual_seed(0)
    values = torch.distributions.Laplace(0, scale).sample((20000,))
    counts = values.round().unique(return_counts=True)[1].double() / values.numel()
    entropy = float(-(counts * counts.log2()).sum())
    assert learned(values, 200)[1] == pytest.approx(entropy, abs=0.1)


def test_the_table_is_of_probabilities_that_fall_outwards() -> None:
    torch.manual_seed(0)
    densities, _ = learned(torch.randn(5000), 100)
    table = densities.table()[0].detach()
    whole = 2.0 ** -table[::8]  # of integers
    assert float(whole.sum()) == pytest.approx(1, abs=1e-3)
    found = slopes(table)
    middle = len(found) // 2
    assert bool((found[middle + 8 : middle + 40] > 0).all())
    assert bool((found[middle - 40 : middle - 8] < 0).all())


def run(lam: float, steps: int = PLAN.steps) -> tuple[NoisyRate, nn.Parameter]:
    """Train a matrix towards another one under a price, by gradient descent."""
    torch.manual_seed(1)
    wanted = torch.randn(16, 64)
    weight = nn.Parameter(wanted.clone())
    hook = EPR(lam=lam, step=0.25, begin=0.0, warmup=0.0).hook({"w": weight}, PLAN)
    assert isinstance(hook, NoisyRate)
    optimizer = torch.optim.Adam([weight], lr=PLAN.learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        hook.before_forward()
        (weight - wanted).square().mean().backward()
        hook.before_step()
        optimizer.step()
        hook.after_step()
    return hook, weight


def test_a_higher_price_buys_bits_and_ends_on_a_grid() -> None:
    spent = []
    for lam in (0.0, 0.3):
        hook, weight = run(lam)
        spent.append(hook.log()["bits"])
        hook.finish()
        quantized = OnGrid().quantize("w", weight.detach().numpy())
        assert quantized is not None
        assert quantized.values.any()
    assert spent[1] < 0.8 * spent[0]


def test_a_state_brings_back_the_densities_and_their_moments() -> None:
    hook, weight = run(0.3, steps=5)
    twin = EPR(lam=0.3, step=0.25, begin=0.0, warmup=0.0).hook({"w": weight}, PLAN)
    twin.load_state({name: kept.clone() for name, kept in hook.state().items()})
    for each in (hook, twin):
        torch.manual_seed(2)
        weight.grad = torch.ones_like(weight)
        each.before_forward()
        each.before_step()
        each.after_step()
    ours, theirs = hook.state(), twin.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
