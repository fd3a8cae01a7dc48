"""Rounding by row and group, codebooks, RF8 and DeepShape, against their definitions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slashbench.contracts import Calibration, Quantiser
from slashbench.errors import Unencodable
from slashbench.grid import ChannelScales, Codebook, TensorScale
from slashbench.trainers.numerics import ggd
from slashbench.trainers.quantisers.entquant import EntQuant
from slashbench.trainers.quantisers.kmeans import KMeans, lloyd
from slashbench.trainers.quantisers.quantize import Uniform
from slashbench.trainers.quantisers.rf8 import RF8
from slashbench.trainers.quantisers.rtn import RoundToNearest
from slashbench.trainers.transforms.deepshape import DeepShape
from tests.helpers.tiny_models import Masked, Tiny

Array = npt.NDArray[np.float32]

NO_DATA = Calibration(Tiny(), seed=0)
ROUND = [
    RoundToNearest("tensor", bits=4),
    RoundToNearest("channel", bits=4),
    RoundToNearest("group", bits=4, size=3),
]
ALL = [*ROUND, Uniform(0.25, "std", "channel"), EntQuant(lam=2**-7), KMeans(levels=16), RF8()]

#: Shapes and contents that break careless quantisers.
ODD = {
    "empty": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
    "one": np.array([[0.3]]),
    "zeros": np.zeros((4, 5)),
    "a row of zeros": np.array([[0, 0, 0], [1, -2, 3]]),
    "constant": np.full((3, 4), -2.5),
    "three axes": np.linspace(-1, 1, 24).reshape(2, 3, 4),
    "tiny": np.array([[1e-38, -1e-30], [2e-38, 0]]),
    "huge": np.array([[1e30, -3e30], [1, 2]]),
}


@pytest.mark.parametrize("quantiser", ALL, ids=lambda q: type(q).__name__)
@pytest.mark.parametrize("weight", ODD.values(), ids=ODD)
def test_odd_tensors(quantiser: Quantiser, weight: Array) -> None:
    weight = weight.astype(np.float32)
    quantized = quantiser.quantize("w", weight)
    assert quantized is not None
    rebuilt = quantized.dequantize()
    assert rebuilt.shape == weight.shape
    assert rebuilt.dtype == np.float32
    assert np.abs(rebuilt - weight).max(initial=0) <= 0.25 * np.abs(weight).max(initial=0)


@pytest.mark.parametrize("quantiser", ALL, ids=lambda q: type(q).__name__)
def test_vectors_stay_and_nan_is_refused(quantiser: Quantiser) -> None:
    assert quantiser.quantize("b", np.ones(3, np.float32)) is None
    with pytest.raises(Unencodable, match="not finite"):
        quantiser.quantize("w", np.array([[np.nan]], np.float32))


class TestRounding:
    @pytest.mark.parametrize("bits", [2, 4, 8])
    def test_integers_keep_within_their_bits(self, bits: int) -> None:
        weight = np.random.default_rng(0).standard_t(3, size=(8, 50)).astype(np.float32)
        quantized = RoundToNearest("channel", bits=bits).quantize("w", weight)
        assert quantized is not None
        assert np.abs(quantized.values).max() == 2 ** (bits - 1) - 1

    def test_int8_by_row_is_within_half_a_step_of_the_largest_magnitude_over_127(self) -> None:
        """The usual symmetric int8 by channel is in the search, so the result is no worse."""
        weight = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
        steps = np.abs(weight).max(axis=1, keepdims=True) / 127
        usual = np.square(np.rint(weight / steps) * steps - weight).sum(axis=1)
        quantized = RoundToNearest("channel", bits=8).quantize("w", weight)
        assert quantized is not None
        assert isinstance(quantized.grid, ChannelScales)
        assert quantized.grid.scales.shape == (16,)
        assert quantized.grid.scales.dtype == np.float16
        ours = np.square(quantized.dequantize() - weight).sum(axis=1)
        assert (ours <= usual * 1.05).all()  # float16 steps

    def test_finer_pieces_err_less(self) -> None:
        scales = np.exp(np.random.default_rng(1).normal(size=(30, 8, 1)))
        weight = (np.random.default_rng(0).normal(size=(30, 8, 16)) * scales).reshape(30, 128)
        errors = []
        for quantiser in (
            RoundToNearest("tensor", bits=4),
            RoundToNearest("channel", bits=4),
            RoundToNearest("group", bits=4, size=16),
        ):
            quantized = quantiser.quantize("w", weight.astype(np.float32))
            assert quantized is not None
            errors.append(np.square(quantized.dequantize() - weight).mean())
        assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]

    def test_the_clip_is_searched(self) -> None:
        """One outlier among many: clipping it beats a step that reaches it."""
        weight = np.random.default_rng(0).normal(size=(1, 5000)).astype(np.float32)
        weight[0, 0] = 8.0
        quantized = RoundToNearest("tensor", bits=4).quantize("w", weight)
        assert quantized is not None
        assert isinstance(quantized.grid, TensorScale)
        assert quantized.grid.scale < 0.6 * 8 / 7

    def test_steps_in_deviations_of_each_row(self) -> None:
        weight = np.random.default_rng(0).normal(size=(3, 400)) * [[0.01], [1.0], [50.0]]
        quantized = Uniform(0.5, "std", "channel").quantize("w", weight.astype(np.float32))
        assert quantized is not None
        assert isinstance(quantized.grid, ChannelScales)
        assert quantized.grid.scales == pytest.approx(0.5 * weight.std(axis=1), rel=1e-3)
        assert (np.abs(quantized.dequantize() - weight).max(axis=1) <= 0.2501 * weight.std(1)).all()

    @pytest.mark.parametrize("columns", [1, 5, 6, 7, 12, 13])
    def test_groups_of_any_number_of_columns(self, columns: int) -> None:
        weight = np.random.default_rng(0).normal(size=(3, columns)).astype(np.float32)
        quantized = RoundToNearest("group", bits=12, size=6).quantize("w", weight)
        assert quantized is not None
        assert isinstance(quantized.grid, ChannelScales)
        assert quantized.grid.scales.shape == (3, -(-columns // 6))
        assert np.abs(quantized.dequantize() - weight).max() < 2e-3


class TestKMeans:
    def test_by_hand(self) -> None:
        """Two clumps; the more frequent level is index 0."""
        quantized = KMeans(levels=2).quantize("w", np.array([[1, 2, 3, 10, 12]], np.float32))
        assert quantized is not None
        assert isinstance(quantized.grid, Codebook)
        assert quantized.grid.levels.tolist() == [2, 11]
        assert quantized.values.tolist() == [[0, 0, 0, 1, 1]]

    @settings(deadline=None)
    @given(
        hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-50, 50)),
        st.integers(1, 8),
    )
    def test_no_worse_than_even_levels_and_at_rest(self, values: Array, count: int) -> None:
        ordered = np.sort(values)
        levels = lloyd(ordered, count)
        assert (np.diff(levels) >= 0).all()
        even = np.linspace(ordered[0], ordered[-1], count)
        assert error(ordered, levels) <= error(ordered, even) + 1e-9
        nearest = np.abs(ordered[:, None] - levels).argmin(1)
        for index in np.unique(nearest):
            assert ordered[nearest == index].mean() == pytest.approx(levels[index], abs=1e-6)

    def test_more_levels_err_less(self) -> None:
        ordered = np.sort(np.random.default_rng(0).normal(size=5000))
        errors = [error(ordered, lloyd(ordered, count)) for count in (2, 4, 8, 16)]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] == pytest.approx(1 - 2 / np.pi, rel=0.05)  # Lloyd-Max, one bit
        assert errors[1] == pytest.approx(0.1175, rel=0.05)  # two bits (Max 1960)


def error(values: npt.NDArray[np.float64], levels: npt.NDArray[np.float64]) -> float:
    return float(np.square(values[:, None] - levels).min(axis=1).mean())


class TestRF8:
    def test_two_binary_digits(self) -> None:
        """3 = 4 - 1 (3 rounds up to 4); 1 + 1/16 is kept, 1 + 1/32 is not; 0.3 = 1/4 + 1/16."""
        weight = np.array([[3, 1 + 1 / 16, 1 + 1 / 32, -0.3, 0, 2.0**-20]], np.float32)
        quantized = RF8().quantize("w", weight)
        assert quantized is not None
        assert quantized.dequantize().tolist() == [[3, 1.0625, 1, -0.3125, 0, 2.0**-20]]

    def test_relative_error(self) -> None:
        """Of two powers with exponents at most 4 apart: under 11 %."""
        weight = np.geomspace(1e-6, 1e3, 4000, dtype=np.float32)[None]
        quantized = RF8().quantize("w", weight)
        assert quantized is not None
        assert np.abs(quantized.dequantize() / weight - 1).max() < 0.11


class TestDeepShape:
    def test_order_sign_and_the_new_shape(self) -> None:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(200, 300, generator=generator) * 0.05
        weight[0] = 0.0
        weight[1] = 0.05
        bias = torch.ones(3)
        shaped = DeepShape().apply({"w": weight, "tied": weight, "b": bias}, NO_DATA)
        new = shaped["w"]
        assert shaped["tied"] is new
        assert shaped["b"] is bias
        assert (new[0] == 0).all()
        assert new[1].unique().numel() == 1
        order = weight.flatten().argsort()
        assert (new.flatten()[order].diff() >= 0).all()
        ratio = float(new.square().mean() / new.abs().mean() ** 2)
        assert ggd.shape_from_ratio(ratio) == pytest.approx(0.8 * 2.0, rel=0.02)
        assert float(new.square().mean()) == pytest.approx(
            (0.6 * 0.05) ** 2 * 1.327,
            rel=0.05,  # the same scale at shape 1.6 has 1.327 the variance
        )

    @pytest.mark.parametrize("weight", [torch.zeros(2, 3), torch.ones(1, 1), torch.zeros(0, 2)])
    def test_nothing_to_shape(self, weight: torch.Tensor) -> None:
        shaped = DeepShape().apply({"w": weight}, NO_DATA)["w"]
        assert shaped.shape == weight.shape
        assert torch.isfinite(shaped).all()

    def test_what_is_no_weight_stays_as_it_is(self) -> None:
        weights = {
            "table": torch.randn(4, 8),
            "mask": torch.full((2, 2), -torch.inf),
            "linear.weight": torch.randn(8, 8),
        }
        shaped = DeepShape().apply(weights, Calibration(Masked(), 0))
        assert shaped["table"] is weights["table"]
        assert shaped["mask"] is weights["mask"]
        assert not torch.equal(shaped["linear.weight"], weights["linear.weight"])

    def test_weights_at_the_end_of_float16_stay_finite(self) -> None:
        weight = torch.linspace(-65504, 65504, 1000).reshape(20, 50).half()
        new = DeepShape(shape=0.3, scale=3.0).apply({"w": weight}, NO_DATA)["w"]
        assert new.dtype == torch.float16
        assert torch.isfinite(new).all()
        assert float(new.max()) == 65504

    def test_an_outlier_takes_no_table_of_its_size(self) -> None:
        weight = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
        weight[0, 0] = 1e16
        new = DeepShape().apply({"w": weight}, NO_DATA)["w"]
        assert torch.isfinite(new).all()
        assert int(new.abs().argmax()) == 0
