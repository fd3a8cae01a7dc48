"""What an update says of itself is checked before it is used."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import slashbench
from slashbench import update_layout
from slashbench.bench.checkpoint import reader, sources, update
from slashbench.errors import CorruptFile
from slashbench.update_layout import LAYOUT, Member

MEMBERS = [Member("w", [2, 3], 0.5), Member("v", [3], 2.0)]


def stacked(layout: list[list[Member]], **stacks: Any) -> dict[str, Any]:
    spelled = np.frombuffer(update_layout.spelled(layout), np.uint8)
    return {**{f"@{name[1:]}": each for name, each in stacks.items()}, LAYOUT: spelled}


def test_a_stack_is_taken_apart_in_its_units() -> None:
    found = update.unstacked(stacked([MEMBERS], s0=np.arange(9, dtype=np.float32).reshape(3, 3)))
    assert found.keys() == {"w", "v"}
    np.testing.assert_array_equal(found["w"], [[0, 0.5, 1], [1.5, 2, 2.5]])
    np.testing.assert_array_equal(found["v"], [12, 14, 16])


@pytest.mark.parametrize(
    ("layout", "stacks"),
    [
        ([MEMBERS], {"s0": np.zeros((2, 3), np.float32)}),
        ([MEMBERS], {}),
        ([[MEMBERS[0]], [MEMBERS[0]]], {"s0": np.zeros(6, "f4"), "s1": np.zeros(6, "f4")}),
        ([[Member("w", [-1, -9], 1.0)]], {"s0": np.zeros(9, "f4")}),
        ([[Member("w", [9], float("inf"))]], {"s0": np.zeros(9, "f4")}),
        ([[Member("w", [9], 0.0)]], {"s0": np.zeros(9, "f4")}),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(
    layout: list[list[Member]], stacks: dict[str, Any]
) -> None:
    with pytest.raises(CorruptFile):
        update.unstacked(stacked(layout, **stacks))


def test_damaged_and_endless_layouts_are_refused() -> None:
    good = update_layout.spelled([MEMBERS])
    bomb = zlib.compress(b" " * (update_layout.MAX_BYTES + 1))
    for data in (good[:-3], good[1:], b"", zlib.compress(b"[[[1]]]"), bomb):
        with pytest.raises(CorruptFile):
            update_layout.parsed(data)


@pytest.mark.parametrize("names", ['{"x": "nowhere"}', "[1]", "[" * 10_000])
def test_tied_names_that_lead_nowhere_are_damage(names: str, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    slashbench.save_file({"w": torch.ones(3)}, path, metadata={sources.ALIASES: names})
    with pytest.raises(CorruptFile, match="tied name"):
        update.decoded(reader.opened(path))


def test_factors_come_in_pairs_that_fit() -> None:
    left, right = np.ones((4, 2), np.float32), np.full((2, 3), 2, np.float32)
    base = {"w": np.zeros((4, 3), np.float32)}
    made = update.multiplied(base, {"w@left": left, "w@right": right})
    np.testing.assert_array_equal(made["w"], np.full((4, 3), 4))
    for bad in (
        {"w@left": left},
        {"w@left": left, "w@right": right.T},
        {"w@left": left, "w@right": right, "w": right},
        {"w@left": left[0], "w@right": right},
    ):
        with pytest.raises(CorruptFile):
            update.multiplied(base, bad)
    with pytest.raises(CorruptFile):  # which would be larger than anything in the base
        update.multiplied({}, {"w@left": left, "w@right": right})


def test_an_update_of_another_shape_is_refused() -> None:
    base = {"w": np.zeros((2, 3), np.float32), "kept": np.ones(2, np.float32)}
    made = update.applied(base, {"w": np.ones((2, 3), np.float32), "new": np.ones(1, np.float32)})
    assert made.keys() == {"w", "kept", "new"}
    np.testing.assert_array_equal(made["w"], np.ones((2, 3)))
    with pytest.raises(CorruptFile, match="in the update"):
        update.applied(base, {"w": np.ones(3, np.float32)})
