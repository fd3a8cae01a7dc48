"""What engines may cost. On a machine of two quiet cores; each in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.engine_lab import environment

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]


def measured(what: str, count: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.overheads", what, str(count)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return found


def test_a_plan_that_is_nearly_done_starts_at_once() -> None:
    assert measured("start", 10_000)["seconds"] < 5


def test_a_run_starts_nearly_as_fast_as_dask() -> None:
    assert statistics.median(measured("startup", 3)["beyond_s"]) < 2


def test_ten_thousand_cells_cost_little_each_and_no_memory() -> None:
    found = measured("noop", 10_000)
    assert found["ms_per_cell"] < 50
    assert found["driver_peak_mb"] < 500


def test_two_processes_train_nearly_twice_as_fast() -> None:
    assert measured("speedup", 12)["share_of_ideal_warm"] > 0.9
