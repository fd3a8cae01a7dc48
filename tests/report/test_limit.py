"""Reverse water-filling against the closed forms that hold where it is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec import structs

from slashbench.bench.report.data.water_filling import at_loss, water_level
from slashbench.record import PER_OCTAVE, LimitRecord, MatrixSpectrum
from tests.helpers.report_lab import Lab


def matrix(logs: dict[float, int], name: str = "w") -> MatrixSpectrum:
    """A matrix with that many directions at each log2 v, which must be middles of parts."""
    low = math.floor(min(logs))
    counts = [0] * ((math.ceil(max(logs)) - low + 1) * PER_OCTAVE)
    for log, count in logs.items():
        counts[math.floor((log - low) * PER_OCTAVE)] += count
    n = sum(logs.values())
    return MatrixSpectrum(name=name, n=n, low=low, counts=counts, columns_bits=0.0, rows_bits=0.0)


def record(*matrices: MatrixSpectrum, kept_bits: float = 0.0) -> LimitRecord:
    lab = {"wall_s": 1.0, "status": "ok", "key": "k"}
    return LimitRecord(
        **lab,  # type: ignore[arg-type]
        provenance=None,  # type: ignore[arg-type]
        model="m",
        recipe="plain",
        seed=0,
        matrices=list(matrices),
        kept_bits=kept_bits,
        n_parameters=sum(m.n for m in matrices),
    )


MIDDLE = 0.5 / PER_OCTAVE


def test_equal_directions_share_the_loss() -> None:
    """R = 1/2 log2(v n / 2 D), section 10.3.2 of Cover & Thomas; 6.02 dB a bit."""
    one = record(matrix({-3 + MIDDLE: 1000}))
    loss = 1000 * 2 ** (-3 + MIDDLE) / 2 / 4**1.5
    assert at_loss(one, loss).bits == pytest.approx(1.5, abs=1e-6)
    assert at_loss(one, loss / 4).bits == pytest.approx(2.5, abs=1e-6)
    assert at_loss(one, loss).scalar_bits == pytest.approx(1.75, abs=1e-6)


def test_weak_directions_are_given_up_first() -> None:
    strong, weak = 2 ** (4 + MIDDLE), 2 ** (-4 + MIDDLE)
    both = record(matrix({4 + MIDDLE: 100}, "s"), matrix({-4 + MIDDLE: 300}, "w"))
    theta = weak * 8  # above the weak ones
    found = at_loss(both, (100 * theta + 300 * weak) / 2)
    assert [m.bits for m in found.matrices] == pytest.approx(
        [0.5 * math.log2(strong / theta), 0.0], abs=1e-6
    )
    assert found.bits == pytest.approx(0.25 * 0.5 * math.log2(strong / theta), abs=1e-6)


def test_a_loss_that_allows_all_to_go_leaves_what_is_kept() -> None:
    small = record(matrix({0 + MIDDLE: 10}), kept_bits=40.0)
    assert at_loss(small, 1e6).bits == pytest.approx(4.0)
    assert water_level(small.matrices, 1e6) == math.inf


def test_nothing_but_what_is_kept_takes_what_is_kept() -> None:
    kept = LimitRecord(
        **structs.asdict(record(matrix({0 + MIDDLE: 10}))) | {"matrices": [], "kept_bits": 40.0}
    )
    assert at_loss(kept, 1.0).bits == pytest.approx(4.0)


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_a_model_that_may_lose_nothing_has_no_limit(tmp_path: Path, tolerance: float) -> None:
    lab = Lab(tmp_path)
    lab.cell("rans", 290, tolerance=tolerance)
    limit = record(matrix({0 + MIDDLE: 1000}))
    lab.store.put(LimitRecord(**structs.asdict(limit) | lab.common))
    (row,) = lab.results().rows
    assert (row.above_limit is not None) == (tolerance > 0)
    assert ("1,000" in lab.shown(boards=["limit"])) == (tolerance > 0)


def test_boards_say_how_far_above_the_limit_a_recipe_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.cell("rans", 290, tolerance=1.0)
    known = matrix({0 + MIDDLE: 1000})
    lab.store.put(
        LimitRecord(
            key="k",
            status="ok",
            model="m",
            recipe="plain",
            seed=0,
            matrices=[known],
            n_parameters=1000,
            **lab.common,
        )
    )
    (row,) = lab.results().rows
    limit = 0.5 * math.log2(1000 * 2**MIDDLE / 2)
    assert row.limit_bits == pytest.approx(limit, abs=1e-6)
    assert row.above_limit == pytest.approx(2.0 - limit, abs=1e-6)
    assert "1,000" in lab.shown(boards=["limit"])
