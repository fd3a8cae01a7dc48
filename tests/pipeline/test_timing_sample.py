"""Slow codecs are timed on a fixed sample, and the record says on how much."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from slashbench.arrays import Array
from slashbench.bench.machine import timing
from slashbench.bench.pipeline import codec_timing
from slashbench.bench.pipeline.compress import CodedValues
from slashbench.bench.pipeline.timing_sample import LEAST_VALUES, largest_share, sample
from slashbench.codecs.huffman import Huffman

ARRAYS = [np.arange(4096 * 256, dtype=np.int32).reshape(4096, 256), np.zeros(0, np.int32)]


def test_a_sample_has_whole_rows_of_the_middle() -> None:
    (rows,) = sample(ARRAYS, Fraction(1, 4))
    assert rows.shape == (1024, 256)
    assert np.array_equal(rows, ARRAYS[0][1536:2560])
    assert np.shares_memory(rows, ARRAYS[0])


def test_a_row_of_every_tensor_is_left() -> None:
    flat = np.arange(7, dtype=np.int32)
    assert [len(a) for a in sample([flat, flat.reshape(7, 1)], Fraction(1, 1024))] == [1, 1]


def test_fast_codecs_are_timed_on_everything() -> None:
    assert largest_share(ARRAYS, lambda arrays: 1e-4, budget_s=0.1) == 1


def test_slow_codecs_are_timed_on_what_the_budget_allows() -> None:
    asked: list[int] = []

    def seconds_of(arrays: Sequence[Array]) -> float:
        asked.append(sum(a.size for a in arrays))
        return asked[-1] * 1e-7  # 0.1 s for the whole

    assert largest_share(ARRAYS, seconds_of, budget_s=0.06) == Fraction(1, 4)
    assert asked[0] >= LEAST_VALUES
    assert max(asked) < ARRAYS[0].size


def test_a_scalar_may_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BUDGET_S", 1e-6)
    coded = CodedValues([np.array(3, np.int32), *ARRAYS], native_bytes=4 + ARRAYS[0].nbytes)
    assert codec_timing.timed(coded, Huffman(), patient=False)["share"] < 1


def test_small_models_are_never_sampled() -> None:
    assert largest_share([np.zeros((10, 10))], lambda arrays: 60.0, budget_s=0.1) == 1
