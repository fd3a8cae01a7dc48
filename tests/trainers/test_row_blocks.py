"""Integers made by blocks are those made at once, whatever the dtype and where blocks end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slashbench.bench.checkpoint.encoder import cut
from slashbench.bench.checkpoint.pytorch import save_file
from slashbench.contracts import Quantiser, Quantized
from slashbench.errors import Unencodable
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale
from slashbench.trainers.numerics import integers
from slashbench.trainers.quantisers import kmeans
from slashbench.trainers.quantisers.kmeans import KMeans, in_order
from slashbench.trainers.quantisers.native import Native
from slashbench.trainers.quantisers.ongrid import OnGrid
from slashbench.trainers.quantisers.quantize import Uniform
from slashbench.trainers.quantisers.rdoq import Rdoq
from slashbench.trainers.quantisers.rf8 import RF8
from slashbench.trainers.quantisers.rtn import RoundToNearest

Array = npt.NDArray[Any]

ROUGH = [
    Uniform(step=0.3, scope="all"),
    Uniform(0.2, "std", scope="all"),
    Uniform(0.2, "std", "channel"),
    RoundToNearest("tensor", bits=4, scope="all"),
    RoundToNearest("channel", bits=4, scope="all"),
    RoundToNearest("group", bits=4, size=3, scope="all"),
    RoundToNearest("group", bits=3, size=700, scope="all"),
    KMeans(levels=16, scope="all"),
    KMeans(levels=300, scope="all"),
    RF8(scope="all"),
    Rdoq(step=0.2, scope="all"),
]
ALL = [*ROUGH, OnGrid()]
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
SHAPES = [(3, 5000), (1, 9001), (700, 3), (40, 7, 11), (2, 300), (4003,), ()]


def name_of(quantiser: Quantiser) -> str:
    return type(quantiser).__name__


def put_together(quantiser: Quantiser, weight: Array, count: int) -> Quantized | None:
    """From blocks of about `count` values, cut as a file's segments are."""
    blocks = quantiser.in_blocks("w", weight)
    if blocks is None:
        return None
    parts = cut(blocks.weight, count, isinstance(blocks.grid, ChannelScales))
    values, begin = [np.zeros(0, np.int32)], 0
    for part in parts:
        made = blocks.integers(part, slice(begin, begin + len(part)))
        assert made.shape == part.shape
        values.append(made.reshape(-1))
        begin += len(part)
    return Quantized(np.concatenate(values).reshape(weight.shape), blocks.grid)


def bits_of(grid: Grid | None) -> tuple[Any, ...]:
    if isinstance(grid, TensorScale):
        return (grid.scale,)
    assert isinstance(grid, ChannelScales | Codebook)
    array = grid.scales if isinstance(grid, ChannelScales) else grid.levels
    return array.shape, array.dtype, array.tobytes()


def assert_same(one: Quantized | None, other: Quantized | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    assert one.values.dtype == other.values.dtype == np.int32
    np.testing.assert_array_equal(one.values, other.values)
    assert type(one.grid) is type(other.grid)
    assert bits_of(one.grid) == bits_of(other.grid)


@pytest.mark.parametrize("quantiser", ALL, ids=name_of)
@given(
    hnp.arrays(
        np.int8,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
        elements=st.integers(-60, 60),
    ),
    st.sampled_from(DTYPES),
    st.integers(1, 40),
)
def test_runs_of_any_length_and_dtype(
    quantiser: Quantiser, eighths: Array, dtype: npt.DTypeLike, count: int
) -> None:
    weight = eighths.astype(np.float32) / 8  # exact in every dtype
    assert_same(
        put_together(quantiser, weight.astype(dtype), count), quantiser.quantize("w", weight)
    )


#: Halves are cut where float32 is: in the fast tests they have a row of many blocks, and many rows.
BLOCKS = [
    pytest.param(shape, dtype, id=f"{shape}-{np.dtype(dtype).name}",
                 marks=() if dtype is np.float32 or shape in [(1, 9001), (700, 3)]
                 else pytest.mark.slow)
    for shape in SHAPES for dtype in DTYPES
]  # fmt: skip


@pytest.mark.parametrize("quantiser", ROUGH, ids=name_of)
@pytest.mark.parametrize(("shape", "dtype"), BLOCKS)
def test_blocks_leave_no_trace(
    monkeypatch: pytest.MonkeyPatch,
    quantiser: Quantiser,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
) -> None:
    """Sums over many blocks are to the last bit those of NumPy, which are made of one here."""
    draws = np.random.default_rng(len(shape)).standard_t(3, shape) * 0.3
    weight = draws.astype(dtype)
    at_once = quantiser.quantize("w", weight.astype(np.float32))
    for module in (integers, kmeans):
        monkeypatch.setattr(module, "BLOCK", 256)
    assert_same(put_together(quantiser, weight, 500), at_once)
    if type(quantiser).in_blocks is not Quantiser.in_blocks:
        assert_same(quantiser.quantize("w", weight), at_once)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sorting_by_counting(dtype: npt.DTypeLike) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    finite = every[np.isfinite(every.astype(np.float32))]
    shuffled = np.random.default_rng(0).permutation(np.tile(finite, 2))
    ordered = in_order(shuffled)
    assert ordered.dtype == finite.dtype
    assert (np.diff(ordered.astype(np.float64)) >= 0).all()
    assert np.sort(ordered.view(np.uint16)).tolist() == np.sort(shuffled.view(np.uint16)).tolist()


def test_what_is_not_quantized_has_no_runs() -> None:
    assert Native().in_blocks("w", np.ones((2, 2), np.float32)) is None
    assert Uniform().in_blocks("b", np.ones(3, ml_dtypes.bfloat16)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("value", "quantiser", "said"),
    [
        (1.0, "quantize:step=1e-12", "too fine"),
    ],
)
def test_what_is_refused_leaves_the_file_as_it_was(
    tmp_path: Path, dtype: torch.dtype, value: float, quantiser: str, said: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    weight = torch.zeros(2000, 3000, dtype=dtype)
    weight[-1, -1] = value
    with pytest.raises(Unencodable, match=f"w.* {said}"):
        save_file({"w": weight}, path, quantize=quantiser)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
