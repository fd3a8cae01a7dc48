"""Grids by hand."""

from __future__ import annotations

import numpy as np
import pytest

from slashbench.grid import ChannelScales, Codebook, TensorScale

VALUES = np.array([[1, 2, 3], [-1, 0, 4]], np.int32)


def test_one_step() -> None:
    assert TensorScale(0.5).rebuild(VALUES).tolist() == [[0.5, 1.0, 1.5], [-0.5, 0.0, 2.0]]


def test_a_step_for_each_row() -> None:
    steps = ChannelScales(np.array([0.5, 2.0], np.float32))
    assert steps.rebuild(VALUES).tolist() == [[0.5, 1.0, 1.5], [-2.0, 0.0, 8.0]]
    assert steps.rebuild(VALUES.reshape(2, 3, 1)).shape == (2, 3, 1)


def test_a_step_for_each_group_of_columns_the_last_one_shorter() -> None:
    steps = ChannelScales(np.array([[1.0, 10.0], [2.0, 4.0]], np.float16))
    rebuilt = steps.rebuild(VALUES)
    assert rebuilt.tolist() == [[1.0, 2.0, 30.0], [-2.0, 0.0, 16.0]]
    assert rebuilt.dtype == np.float32


def test_codebook() -> None:
    levels = Codebook(np.array([-1.0, 0.25, 3.0], np.float32))
    assert levels.rebuild(np.array([2, 0, 1], np.int32)).tolist() == [3.0, -1.0, 0.25]


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_the_codebook_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        Codebook(np.zeros(3, np.float32)).rebuild(np.array([index], np.int32))


def test_steps_for_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="scales of shape"):
        ChannelScales(np.ones(3, np.float32)).rebuild(VALUES)
