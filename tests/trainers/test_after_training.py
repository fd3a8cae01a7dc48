"""Pruning and quantization by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.contracts import Calibration
from slashbench.errors import Unencodable
from slashbench.grid import TensorScale
from slashbench.trainers.numerics.integers import spread_of
from slashbench.trainers.quantisers.native import Native
from slashbench.trainers.quantisers.quantize import Uniform
from slashbench.trainers.transforms.prune import LayerPrune, MagnitudePrune

#: For steps that look at weights alone.
NO_DATA = Calibration(DigitsMLP(), seed=0)


class TestPrune:
    def test_smallest_of_all_matrices_together(self) -> None:
        weights = {
            "a": torch.tensor([[0.1, -5.0], [2.0, -0.3]]),
            "b": torch.tensor([[0.2, 4.0]]),
            "bias": torch.tensor([0.01, 0.02]),
            "steps": torch.tensor([[1, 2]]),
        }
        pruned = MagnitudePrune(sparsity=0.5).apply(weights, NO_DATA)
        assert pruned["a"].tolist() == [[0.0, -5.0], [2.0, 0.0]]
        assert pruned["b"].tolist() == [[0.0, 4.0]]
        assert pruned["bias"] is weights["bias"]
        assert pruned["steps"] is weights["steps"]
        assert weights["a"][0, 0] != 0.0  # what was given is left as it was

    def test_tied_tensors_stay_tied(self) -> None:
        shared = torch.randn(4, 4)
        pruned = MagnitudePrune(sparsity=0.25).apply({"embedding": shared, "head": shared}, NO_DATA)
        assert pruned["embedding"] is pruned["head"]
        assert int((pruned["head"] == 0).sum()) == 4

    @pytest.mark.parametrize("step", [MagnitudePrune, LayerPrune])
    @pytest.mark.parametrize("sparsity", [0.0, 0.29, 0.5, 0.999])
    def test_exactly_so_many_weights_that_repeat(
        self, step: type[MagnitudePrune | LayerPrune], sparsity: float
    ) -> None:
        """Of +-1 in turn, and of multiples of 1/16; of equal magnitudes the first are zeroed."""
        signs = torch.ones(10, 10)
        signs[:, ::2] = -1
        on_grid = (torch.randn(50, 20, generator=torch.Generator().manual_seed(0)) * 8).round() / 8
        on_grid = torch.where(on_grid == 0, 1 / 16, on_grid).bfloat16()
        for weight in (signs, on_grid):
            pruned = step(sparsity=sparsity).apply({"w": weight}, NO_DATA)["w"]
            zeros = (pruned == 0).flatten()
            assert int(zeros.sum()) == round(1000 * sparsity) * weight.numel() // 1000
            assert pruned.dtype == weight.dtype
            assert torch.equal(pruned.flatten()[~zeros], weight.flatten()[~zeros])
        first = step(sparsity=0.29).apply({"w": signs}, NO_DATA)["w"].flatten()
        assert (first[:29] == 0).all()

    def test_nothing_to_prune(self) -> None:
        weights = {"bias": torch.ones(3)}
        assert MagnitudePrune().apply(weights, NO_DATA)["bias"].tolist() == [1, 1, 1]


class TestQuantize:
    def test_rounds_half_to_even(self) -> None:
        tensor = Uniform(step=0.5).quantize("w", np.array([[0.25, 0.75, -0.3]], np.float32))
        assert tensor is not None
        assert tensor.values.tolist() == [[0, 2, -1]]
        assert tensor.values.dtype == np.int32
        assert tensor.dequantize().tolist() == [[0.0, 1.0, -0.5]]

    def test_vectors_stay_unless_asked_for(self) -> None:
        vector = np.ones(3, np.float32)
        assert Uniform().quantize("b", vector) is None
        assert Uniform(scope="all").quantize("b", vector) is not None

    def test_step_in_standard_deviations(self) -> None:
        weight = np.random.default_rng(0).normal(scale=0.03, size=(64, 64)).astype(np.float32)
        tensor = Uniform(0.5, "std").quantize("w", weight)
        assert tensor is not None
        assert isinstance(tensor.grid, TensorScale)
        assert tensor.grid.scale == pytest.approx(0.5 * weight.std(), rel=1e-6)

    @pytest.mark.parametrize("value", [0.0, 3.0, -1e-30])
    def test_a_constant_tensor_has_no_spread_to_measure_in(self, value: float) -> None:
        weight = np.full((3, 3), value, np.float32)
        tensor = Uniform(0.5, "std").quantize("w", weight)
        assert tensor is not None
        assert tensor.dequantize() == pytest.approx(weight)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_weights_that_are_not_finite_are_refused(self, value: float) -> None:
        with pytest.raises(Unencodable, match="not finite"):
            Uniform().quantize("w", np.array([[value]], np.float32))

    @pytest.mark.parametrize("step", [1e-30, 1e-300])
    def test_a_step_too_fine_for_int32_is_refused(self, step: float) -> None:
        with pytest.raises(Unencodable, match="too fine"):
            Uniform(step=step).quantize("w", np.ones((1, 1), np.float32))

    @given(
        hnp.arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32)),
        st.integers(-10, 3),
    )
    def test_error_is_at_most_half_a_step(self, weight: np.ndarray, octave: int) -> None:  # type: ignore[type-arg]
        tensor = Uniform(step=2.0**octave).quantize("w", weight)
        assert tensor is not None
        assert np.abs(tensor.dequantize() - weight).max() <= 2.0 ** (octave - 1)


@pytest.mark.parametrize("shape", [(7,), (1 << 20,), (3_000_001,), (1237, 2311), (3, 700, 701)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_deviation_in_blocks_is_numpys_to_the_last_bit(
    shape: tuple[int, ...], order: Literal["C", "F"]
) -> None:
    draws = np.random.default_rng(len(shape)).standard_t(3, shape).astype(np.float32)
    weight = np.asarray(draws * 0.02 + 1e-3, order=order)
    assert spread_of(weight) == float(weight.std(dtype=np.float64))


def test_native_keeps_every_bit() -> None:
    weight = np.array([[np.nan, -0.0, 1e-45]], np.float32)
    tensor = Native().quantize("w", weight)
    assert tensor is not None
    assert tensor.dequantize().tobytes() == weight.tobytes()
