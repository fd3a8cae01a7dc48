"""Where a run is started from: long names of temporary folders, files named like Python's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Modules of the standard library that processes import when they start, or a moment later.
SHADOWS = ("signal", "random", "types", "token", "copy", "platform", "queue", "tempfile", "socket")
#: The installed script: `python -m` would put the working directory in the path itself.
BENCH = Path(sys.executable).with_name("bench")


def run(folder: Path, *more: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [BENCH, "run", "--models=digits-mlp:steps=3", "--recipes=plain", "--codecs=pack",
         "--seeds=0", "--out=results", *more],
        cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def shadowed(folder: Path) -> Path:
    for name in SHADOWS:
        (folder / f"{name}.py").write_text("raise RuntimeError('not yours to import')\n")
    return folder


@pytest.mark.thorough
def test_files_named_like_pythons_own_and_a_long_temporary_folder(tmp_path: Path) -> None:
    """As batch systems name them: a socket in it would have no room for its name.

    The working folder has letters that the locale does not: more of these in
    tests/commands/test_places.py.
    """
    home, long = tmp_path / "späß [b] · λ", tmp_path / ("x" * 90)
    for folder in (home, long):
        folder.mkdir()
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": "ascii"}  # fmt: skip
    code, said = run(shadowed(home), "--jobs=0", TMPDIR=str(long), **poor)
    assert code == 0, said
    assert "RuntimeError" not in said
    assert (home / "results" / "leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--jobs=2",), ("--jobs=0", "--processes=2")])
def test_processes_of_every_kind_see_pythons_own(more: tuple[str, ...], tmp_path: Path) -> None:
    """Workers and their nannies; torchrun and its ranks; what they start themselves."""
    code, said = run(shadowed(tmp_path), *more)
    assert code == 0, said


@pytest.mark.slow
def test_the_kit_decodes_apart_from_files_named_like_pythons_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [BENCH, "test-codec", "pack"],
        cwd=shadowed(tmp_path), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
