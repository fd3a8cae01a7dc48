"""Rate-distortion-optimised quantization never makes things worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slashbench.codecs.entropy import order0_bits
from slashbench.errors import Unencodable
from slashbench.trainers.numerics.code_length import LengthTable
from slashbench.trainers.quantisers.quantize import Uniform
from slashbench.trainers.quantisers.rdoq import Rdoq, choose


def candidates(scaled: torch.Tensor) -> list[torch.Tensor]:
    """The nearest integer, one and two towards zero from there, and zero."""
    nearest = scaled.round()
    one = nearest - nearest.sign()
    return [nearest, one, one - one.sign(), torch.zeros_like(nearest)]


def chosen(scaled: torch.Tensor, importance: torch.Tensor, lam: float) -> torch.Tensor:
    """What `choose` has to return, candidate by candidate for all weights at once."""
    best = scaled.round()
    for _ in range(20):
        lengths = LengthTable(best)
        before, cost = best, importance * (scaled - best).square() + lam * lengths.of(best)
        for other in candidates(scaled):
            price = importance * (scaled - other).square() + lam * lengths.of(other)
            best, cost = torch.where(price < cost, other, best), torch.minimum(price, cost)
        if torch.equal(before, best):
            break
    return best


def cost(scaled: torch.Tensor, integers: torch.Tensor, lam: float, importance: float) -> float:
    error = importance * float((scaled - integers).double().square().sum())
    return error + lam * order0_bits(integers.numpy().astype(np.int32))


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (4, 9), elements=st.floats(-9, 9, width=32)),
    st.floats(0, 3),
    st.floats(0.1, 10),
)
def test_error_plus_price_of_bits_is_never_above_that_of_rounding(
    weights: np.ndarray,  # type: ignore[type-arg]
    lam: float,
    importance: float,
) -> None:
    scaled = torch.from_numpy(weights)
    best = choose(scaled, torch.tensor(importance), lam)
    limit = cost(scaled, scaled.round(), lam, importance)
    assert cost(scaled, best, lam, importance) <= limit * (1 + 1e-4) + 1e-4


@pytest.mark.parametrize("lam", [0.03, 0.2, 2.0])
def test_the_kernel_chooses_what_whole_tensors_at_once_do(lam: float) -> None:
    generator = torch.Generator().manual_seed(1)
    scaled = torch.randn(70, 90, generator=generator) * 4
    scaled[0] = scaled[0].round() + 0.5  # ties
    importance = torch.rand(70, generator=generator)[:, None]
    assert torch.equal(choose(scaled, importance, lam), chosen(scaled, importance, lam))
    assert torch.equal(choose(scaled, torch.ones(()), lam), chosen(scaled, torch.ones(()), lam))


def test_no_candidate_is_cheaper_at_the_final_code_lengths() -> None:
    scaled = torch.randn(60, 50, generator=torch.Generator().manual_seed(0)) * 1.5
    best = choose(scaled, torch.ones(()), 0.2)
    lengths = LengthTable(best)
    own = (scaled - best).square() + 0.2 * lengths.of(best)
    for other in candidates(scaled):
        assert ((scaled - other).square() + 0.2 * lengths.of(other) >= own).all()


def test_code_lengths_by_hand() -> None:
    """Of 0 0 0 0 -1 -1 3 3: half, a quarter, a quarter."""
    lengths = LengthTable(torch.tensor([0, 0, 0, 0, -1, -1, 3, 3]))
    assert lengths.of(torch.tensor([0.0, -1.0, 3.0])).tolist() == [1, 2, 2]
    assert lengths.of(torch.tensor([1.0])).isinf()
    smoothed = LengthTable(torch.tensor([0, 0, 0]), smoothing=0.5)  # -3 to 3 share 6.5
    assert smoothed.of(torch.tensor([0.0, 1.0, 9.0])).tolist() == pytest.approx(
        [np.log2(6.5 / 3.5), np.log2(13), np.log2(13)]
    )


def test_without_a_price_it_is_plain_rounding() -> None:
    weight = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    priced, plain = (q.quantize("w", weight) for q in (Rdoq(lam=0.0, step=0.3), Uniform(step=0.3)))
    assert priced is not None
    assert plain is not None
    assert priced.values.tolist() == plain.values.tolist()


def test_fewer_bits_at_the_same_error_than_a_coarser_step() -> None:
    weight = np.random.default_rng(0).laplace(size=(200, 300)).astype(np.float32)
    priced = Rdoq(lam=0.1, step=1.0).quantize("w", weight)
    assert priced is not None
    error = np.square(priced.dequantize() - weight).mean()
    coarser = np.arange(1.0, 2.0, 0.005)
    step = next(s for s in coarser if np.square(np.rint(weight / s) * s - weight).mean() >= error)
    plain = Uniform(step=float(step)).quantize("w", weight)
    assert plain is not None
    assert order0_bits(priced.values) < 0.99 * order0_bits(plain.values)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (2, 3, 4)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    quantized = Rdoq(step=0.5).quantize("w", np.full(shape, 1.4, np.float32))
    assert quantized is not None
    assert quantized.values.shape == shape
    assert (quantized.values == 3).all()


def test_vectors_stay_and_nan_is_refused() -> None:
    assert Rdoq().quantize("b", np.ones(3, np.float32)) is None
    with pytest.raises(Unencodable, match="not finite"):
        Rdoq().quantize("w", np.array([[np.nan]], np.float32))


@pytest.mark.parametrize("far", [float("inf"), -float("inf"), 2.0**40])
def test_integers_too_far_apart_for_a_table_are_refused(far: float) -> None:
    with pytest.raises(Unencodable, match="the step is too fine"):
        LengthTable(torch.tensor([0.0, far]))


def test_integers_too_large_to_be_told_apart_are_refused() -> None:
    with pytest.raises(Unencodable, match="the step is too fine"):
        LengthTable(torch.full((3,), 1e30))


def test_integers_far_from_zero_are_counted_exactly() -> None:
    far = 2**40
    lengths = LengthTable(torch.tensor([far, far, far + 1, far + 3], dtype=torch.float64))
    assert lengths.of(torch.tensor([far, far + 1, far + 3])).tolist() == [1.0, 2.0, 2.0]
