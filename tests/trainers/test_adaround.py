"""AdaRound and EntQuant, against what their objectives promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slashbench.contracts import Calibration
from slashbench.trainers.quantisers.adaround import AdaRound, learned
from slashbench.trainers.quantisers.entquant import EntQuant
from slashbench.trainers.quantisers.gptq import Factor
from tests.helpers.tiny_models import Tied, Tiny

ROWS, COLUMNS = 64, 48


@pytest.fixture(scope="module")
def layer() -> tuple[torch.Tensor, torch.Tensor]:
    """(weights in step sizes, curvature of inputs that depend on each other)."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(COLUMNS, COLUMNS, generator=generator)
    mixing *= torch.logspace(0, -1.5, COLUMNS)[:, None]
    moment = (mixing.T @ mixing).double() + 1e-2 * torch.eye(COLUMNS).double()
    return 2 * torch.randn(ROWS, COLUMNS, generator=generator), moment


def cost(
    integers: torch.Tensor, scaled: torch.Tensor, curvature: torch.Tensor, price: torch.Tensor
) -> float:
    change = integers.float() - scaled
    up = integers.float() - scaled.floor()
    return float(((change @ curvature) * change).sum() + (price * up).sum()) / scaled.numel()


def test_choices_cost_less_than_half_of_those_of_rounding(
    layer: tuple[torch.Tensor, torch.Tensor],
) -> None:
    scaled, moment = layer
    curvature = (moment / Factor(moment, 0.0, "activity").scale).float()
    free = torch.zeros(())
    found = learned(scaled, curvature, torch.ones(ROWS, 1), free, 500)
    assert ((found == scaled.floor()) | (found == scaled.ceil())).all()
    rounded = cost(scaled.round(), scaled, curvature, free)
    assert cost(found, scaled, curvature, free) < 0.5 * rounded


def test_a_price_on_the_upper_integer_is_weighed_against_the_error(
    layer: tuple[torch.Tensor, torch.Tensor],
) -> None:
    scaled, moment = layer
    curvature = (moment / Factor(moment, 0.0, "activity").scale).float()
    price = 0.3 * (scaled.floor() >= 0).float() - 0.3 * (scaled.floor() < 0).float()
    free = learned(scaled, curvature, torch.ones(ROWS, 1), torch.zeros(()), 500)
    priced = learned(scaled, curvature, torch.ones(ROWS, 1), price, 500)
    assert cost(priced, scaled, curvature, price) < cost(free, scaled, curvature, price)
    assert float(priced.abs().sum()) < float(free.abs().sum())


@pytest.mark.parametrize("model", [Tiny(), Tied()])
def test_whole_models(model: Tiny) -> None:
    weights = model.build(3).state_dict()
    arrays = {n: w.clone().numpy() for n, w in weights.items() if w.is_floating_point()}
    found = AdaRound(step=0.1, lam=0.1, steps=20).quantize_all(arrays, Calibration(model, 0))
    made = {name: q.dequantize() for name, q in found.items() if q is not None}
    assert len(made) > 1
    for name, rebuilt in made.items():
        assert np.abs(rebuilt - arrays[name]).max() < 1.0


def test_no_step_size_near_the_one_found_costs_less() -> None:
    weight = np.random.default_rng(4).standard_normal((3, 400), np.float32) * [[1], [4], [0.5]]
    lam, mean = 0.1, np.abs(weight).mean()

    def costs(sizes: np.ndarray) -> np.ndarray:
        places = np.abs(weight) / sizes[:, None]
        integers = np.rint(places)
        return (sizes / mean)[:, None] * np.abs(places - integers) + lam * integers

    quantized = EntQuant(lam=lam).quantize("w", weight.astype(np.float32))
    assert quantized is not None
    sizes = quantized.grid.scales.astype(np.float64)  # type: ignore[union-attr]
    least = costs(sizes).sum(1)
    for factor in (0.5, 0.8, 1.25, 2.0):
        assert (least <= 1.01 * costs(factor * sizes).sum(1)).all()


def test_a_quarter_of_the_price_buys_a_bit() -> None:
    weight = np.random.default_rng(5).laplace(size=(4, 4000)).astype(np.float32)

    def entropy(lam: float) -> float:
        quantized = EntQuant(lam=lam).quantize("w", weight)
        assert quantized is not None
        shares = np.unique(quantized.values, return_counts=True)[1] / weight.size
        return float(-(shares * np.log2(shares)).sum())

    assert entropy(2**-8) - entropy(2**-6) == pytest.approx(1, abs=0.15)
