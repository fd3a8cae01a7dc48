"""What engines cost, measured and printed; what they do meanwhile is checked, no time is.

`python -m tests.engines.overheads WHAT COUNT` measures one of these by itself.
"""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("what", "count"), [("start", 10_000), ("startup", 3), ("noop", 10_000), ("speedup", 12)]
)
def test_the_measurement_runs_to_its_end(what: str, count: int) -> None:
    assert measured(what, count)
