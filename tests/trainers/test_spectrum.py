"""How the loss feels the directions of a matrix, on a layer where it is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from slashbench.bench.pipeline.limit_of_checkpoint import spectrum
from slashbench.contracts import Calibration
from slashbench.trainers.numerics.spectrum import FeltMatrix, felt_matrices, saved_by_columns
from tests.helpers.tiny_models import Tiny

ROWS, MOMENT = 40, torch.tensor([4.0, 1.0, 0.25, 0.0625])


class Regression(Tiny):
    """One linear layer, inputs of known variances, labels with noise: an exactly quadratic loss."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Linear(4, ROWS, bias=False)

    def calibration(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        true = self.build(3).weight.detach()
        while True:
            x = torch.randn(512, 4, generator=generator) * MOMENT.sqrt()
            yield x, x @ true.T + torch.randn(512, ROWS, generator=generator)

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        x, y = batch
        loss: torch.Tensor = (module(x) - y).square().sum(1).mean()
        return loss


def test_curvatures_of_a_quadratic_loss_are_found() -> None:
    """The loss is |W x - y|^2: 2 E[x x^T] for every row."""
    weights = {"weight": Regression().build(3).weight.detach()}
    _, found = felt_matrices(weights, Calibration(Regression(), 0), 24)
    felt = found["weight"].felt.reshape(ROWS, 4).mean(0).sort(descending=True).values
    wanted = 2 * MOMENT * float(weights["weight"].square().mean())
    assert felt.tolist() == pytest.approx(wanted.tolist(), rel=0.25)
    assert found["weight"].columns_bits == pytest.approx(0.5 * math.log2(1.328125 / 0.5), abs=0.03)
    assert found["weight"].rows_bits < 0.1


class Dead(Regression):
    """Inputs that are always zero, as those behind a dead layer are."""

    def calibration(self, seed: int) -> Iterator[Any]:
        for x, y in super().calibration(seed):
            yield 0 * x, y


def test_a_matrix_that_sees_nothing_but_zeros_is_not_felt() -> None:
    weights = {"weight": Dead().build(3).weight.detach()}
    _, found = felt_matrices(weights, Calibration(Dead(), 0), 2)
    assert found["weight"].felt.shape == (4 * ROWS,)
    assert not found["weight"].felt.any()
    assert (found["weight"].columns_bits, found["weight"].rows_bits) == (0.0, 0.0)


def test_steps_of_columns_save_half_the_log_of_the_spread_of_the_cholesky_diagonal() -> None:
    lower = torch.tensor([[2.0, 0.0], [5.0, 0.5]], dtype=torch.float64)
    turned = saved_by_columns((lower @ lower.T).flip(0, 1), damp=0.0)  # the last one first
    assert turned == pytest.approx(0.5 * math.log2((4 + 0.25) / 2))
    first = saved_by_columns(lower @ lower.T, damp=0.0)
    assert first == pytest.approx(0.5 * math.log2((25.25 + 1 / 25.25) / 2))


def test_directions_are_counted_by_parts_of_an_octave() -> None:
    felt = torch.tensor([1.0, 1.05, 2.0**-3, 0.0], dtype=torch.float64)
    made = spectrum("w", FeltMatrix(felt, 0.1, 0.2), 1.0)
    assert (made.low, made.n, sum(made.counts)) == (-3, 4, 3)
    assert (made.counts[0], made.counts[12]) == (1, 2)
