"""WaterSIC and CERWU's ridge, against what their equations promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from slashbench.contracts import Calibration, Prediction, Quantized
from slashbench.grid import ChannelScales
from slashbench.trainers.numerics import obs
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.numerics.spectrum import saved_by_columns
from slashbench.trainers.quantisers.gptq_loss import GPTQLoss, _ridged, corrected
from slashbench.trainers.quantisers.watersic import Fitted, WaterSIC, rescaled
from tests.helpers.tiny_models import Deep, Tied, Tiny

ROWS, COLUMNS = 20000, 8


@pytest.fixture(scope="module")
def layer() -> tuple[torch.Tensor, torch.Tensor]:
    """(weights (20000, 8), second moment of inputs of very unlike unexplained parts)."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(COLUMNS, COLUMNS, generator=generator)
    mixing *= torch.logspace(0, -1, COLUMNS)[:, None]
    moment = (mixing.T @ mixing).double() + 1e-4 * torch.eye(COLUMNS).double()
    return torch.randn(ROWS, COLUMNS, generator=generator), moment


def made(quantiser: GPTQLoss, layer: tuple[torch.Tensor, torch.Tensor]) -> Quantized:
    weight, moment = layer
    return quantiser.layer("w", weight, torch.ones(ROWS).double(), quantiser.step, moment)


def error_of(quantized: Quantized, layer: tuple[torch.Tensor, torch.Tensor]) -> float:
    weight, moment = layer
    change = torch.from_numpy(quantized.dequantize()).double() - weight.double()
    return float(((change @ moment) * change).sum()) / weight.numel()


def bits_of(quantized: Quantized) -> float:
    """Order-0 entropy column by column, which is what a coder with classes of columns gets."""
    total = 0.0
    for column in quantized.values.T:
        shares = np.unique(column, return_counts=True)[1] / len(column)
        total -= float((shares * np.log2(shares)).sum())
    return total / COLUMNS


def test_column_steps_save_half_the_log_of_the_spread(
    layer: tuple[torch.Tensor, torch.Tensor],
) -> None:
    fine = 0.05
    ours = made(WaterSIC(step=fine, damp=1e-9, shrink=False, rescale=False), layer)
    theirs = made(GPTQLoss(step=fine, damp=1e-9), layer)
    saved = bits_of(theirs) - bits_of(ours)
    saved -= 0.5 * math.log2(error_of(ours, layer) / error_of(theirs, layer))
    moment = layer[1]
    order = moment.diagonal().argsort(descending=True)
    wanted = saved_by_columns(moment[order][:, order], damp=1e-9)
    assert wanted > 0.1
    assert saved == pytest.approx(wanted, rel=0.15)


def test_every_column_bears_the_same_error(layer: tuple[torch.Tensor, torch.Tensor]) -> None:
    """D_ii = c^2 / 12 for each: what makes steps c / L_ii reverse water-filling."""
    weight, moment = layer
    quantised = made(WaterSIC(step=0.02, damp=1e-9, shrink=False, rescale=False), layer)
    change = weight.double() - torch.from_numpy(quantised.dequantize()).double()
    order = moment.diagonal().argsort(descending=True)
    factor = obs.inverse_factor(moment[order][:, order], 1e-9)
    parts = torch.linalg.solve_triangular(factor, change[:, order], upper=True, left=False)
    shares = parts.square().mean(0)
    assert float(shares.max() / shares.min()) < 1.6


def test_shrinking_and_rescaling_lower_the_error_at_coarse_steps(
    layer: tuple[torch.Tensor, torch.Tensor],
) -> None:
    bare = made(WaterSIC(step=1.0, damp=1e-9, shrink=False, rescale=False), layer)
    whole = made(WaterSIC(step=1.0, damp=1e-9), layer)
    assert error_of(whole, layer) < 0.95 * error_of(bare, layer)
    assert bits_of(whole) < bits_of(bare) + 0.02


def test_rescaling_finds_the_factors_that_were_there() -> None:
    generator = torch.Generator().manual_seed(1)
    integers = torch.randint(-3, 4, (30, 6), generator=generator).double()
    rows, columns = torch.rand(30, generator=generator) + 0.5, torch.rand(6, generator=generator)
    wanted = rows[:, None] * integers * (columns + 0.5)
    ones = torch.ones(30).double()
    start = Fitted(integers, ones, torch.ones(6).double())
    moment = torch.eye(6).double() + 0.5
    found = rescaled(start, wanted.double(), ones, moment)
    before, after = ((f.weights() - wanted).norm() for f in (start, found))
    assert float(after) < 0.05 * float(before)


@pytest.mark.parametrize("model", [Tiny(), Tied()])
def test_whole_models_get_row_and_column_scales(model: Tiny) -> None:
    weights = {n: w.clone() for n, w in model.build(3).state_dict().items()}
    arrays = {n: w.numpy() for n, w in weights.items() if w.is_floating_point()}
    found = WaterSIC(step=0.3).quantize_all(arrays, Calibration(model, 0))
    grids = [q.grid for q in found.values() if q is not None]
    scaled = [g for g in grids if isinstance(g, ChannelScales) and g.columns is not None]
    assert scaled
    for name, quantized in found.items():
        if quantized is not None:
            assert quantized.dequantize().shape == arrays[name].shape
            assert np.isfinite(quantized.dequantize()).all()


def test_the_ridge_is_the_quadratic_part_of_the_rate() -> None:
    """(w - z) H (w - z)^T + a z z^T and (w' - z) H' (w' - z)^T differ by a constant."""
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(5, 5, generator=generator).double()
    moment, ridge = root @ root.T, 0.7
    weight = torch.randn(1, 5, generator=generator)
    wanted, higher = _ridged(weight, moment, ridge)
    differences = []
    for _ in range(4):
        z = torch.randint(-3, 4, (1, 5), generator=generator).double()
        a, b = weight.double() - z, wanted.double() - z
        differences.append(float(a @ moment @ a.T + ridge * z @ z.T - b @ higher @ b.T))
    assert differences == pytest.approx([differences[0]] * 4, abs=1e-4)


def test_the_ridge_buys_bits_with_error(layer: tuple[torch.Tensor, torch.Tensor]) -> None:
    bare = made(GPTQLoss(step=0.5, lam=0.2, damp=1e-3), layer)
    ridged = made(GPTQLoss(step=0.5, lam=0.2, damp=1e-3, ridge=True), layer)
    assert not np.array_equal(bare.values, ridged.values)
    slope = 2 * math.log(2) / 12  # of the error over bits at fine steps, in squared steps
    costs = [error_of(q, layer) + slope * bits_of(q) for q in (bare, ridged)]
    assert costs[1] < 1.2 * costs[0]


class Classes(Tiny):
    """A classifier by cross-entropy, whose answers can be compared."""

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        return Prediction(module(batch), torch.zeros(len(batch), dtype=torch.int64))


@pytest.mark.parametrize("quantiser", [WaterSIC(step=1.0), GPTQLoss(step=1.0)])
def test_tuned_scales_bring_answers_nearer_and_leave_integers(quantiser: GPTQLoss) -> None:
    model = Classes()
    weights = {
        n: w * 3 if w.ndim == 2 else w.clone()
        for n, w in model.build(3).state_dict().items()
        if w.is_floating_point()
    }
    arrays = {n: w.numpy() for n, w in weights.items()}
    found = []
    for steps in (0, 60):
        quantiser.tune = steps
        found.append(quantiser.quantize_all(arrays, Calibration(model, 0)))
    plain, tuned = found
    batches = Calibration(model, 0).batches(16)
    divergences = []
    for made in (plain, tuned):
        rebuilt = {
            n: torch.from_numpy(q.dequantize()) if q is not None else weights[n]
            for n, q in made.items()
        }
        given, wanted = (Calibration(model, 0).module(w) for w in (rebuilt, weights))
        divergences.append(
            sum(
                (a.exp() * (a - b)).sum(1).mean().item()
                for x in batches
                for a, b in [(wanted(x).log_softmax(-1), given(x).log_softmax(-1))]
            )
        )
    assert divergences[1] < 0.9 * divergences[0]
    for name, quantized in plain.items():
        other = tuned[name]
        assert (quantized is None) == (other is None)
        assert quantized is None or other is None or np.array_equal(quantized.values, other.values)


def test_corrected_targets_make_up_for_what_earlier_layers_changed() -> None:
    """W C H^-1 is the least-squares answer on the changed inputs; nothing where they are same."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(500, 6, generator=generator).double()
    y = x @ (torch.eye(6) + 0.3 * torch.randn(6, 6, generator=generator)).double()
    y += 0.1 * torch.randn(500, 6, generator=generator)
    weight = torch.randn(3, 6, generator=generator)
    moment, cross = y.T @ y / 500, x.T @ y / 500
    found = corrected(weight, moment, cross, 0.0)
    wanted = torch.linalg.lstsq(y, x @ weight.double().T).solution.T
    assert torch.allclose(found.double(), wanted, atol=1e-4)
    assert torch.allclose(corrected(weight, moment, moment, 0.1), weight, atol=1e-5)


@pytest.mark.parametrize("model", [Deep(), Tied()])
def test_inputs_of_the_float_model_stand_beside_those_of_the_quantized(model: Tiny) -> None:
    weights = {n: w.clone() for n, w in model.build(3).state_dict().items()}
    layers = LinearLayers(weights, Calibration(model, 0), 3)
    floats = Calibration(model, 0).module(weights)
    for at, (name, moment) in enumerate(layers.moments()):
        cross = layers.cross(name, floats)
        assert torch.allclose(cross, moment, atol=1e-5) == (at == 0)
        layers.put(name, weights[name] * 0.5)
