"""A run where it is hard to run: odd folders, long temporary ones, a locale of ASCII.

The fast tests have one such run: tests/pipeline/test_surroundings.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Modules of the standard library that the command and its children import.
SHADOWS = ("signal", "random", "types", "token", "copy", "platform", "queue", "selectors", "codecs")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("folder", "tmp"),
    [
        ("späß [b] · λ", 120),
        ("plain", 60),
        ("-o", 76),
        ("[/red] *", 250),
        ("with\ttab and 'quotes'", 90),
    ],
)
@pytest.mark.parametrize("jobs", [0, 1])
def test_a_run_there(folder: str, tmp: int, jobs: int, tmp_path: Path) -> None:
    home = tmp_path / folder
    home.mkdir(parents=True)
    for name in SHADOWS:
        (home / f"{name}.py").write_text("raise RuntimeError('not yours to import')\n")
    temporary = tmp_path / ("t" * max(1, min(200, tmp - len(str(tmp_path)) - 1)))
    temporary.mkdir()
    hard = {"TMPDIR": str(temporary), "COLUMNS": "0", "LC_ALL": "C", "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "slashbench.bench.cli", "run",
         "--models=digits-mlp:steps=5", "--recipes=plain", "--codecs=huffman", "--seeds=0",
         f"--jobs={jobs}"],
        cwd=home, env=os.environ | hard, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cells, 0 already done, 1 to run" in done.stdout
    assert (home / "results" / "local" / "leaderboard.md").read_text(encoding="utf-8")
