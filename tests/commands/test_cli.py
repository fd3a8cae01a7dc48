"""The command as a user meets it: exit codes, messages, resuming, boards."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slashbench.bench.store.store import Store
from tests.helpers.command import COMMAND, bench
from tests.helpers.engine_lab import comparable, interrupted

SMALL = [
    "run",
    "--models=digits-mlp:steps=30",
    "--recipes=plain,backslash",
    "--codecs=huffman,entropy",
    "--seeds=0",
]


def test_run_resume_and_report(tmp_path: Path) -> None:
    first = bench(*SMALL, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "4 cells, 0 already done, 4 to run" in first.stdout
    assert "huffman" in first.stdout
    out = tmp_path / "results" / "local"
    kinds = {path.suffix for path in out.glob("leaderboard.*")}
    assert kinds == {".md", ".html", ".csv", ".json", ".parquet", ".sha256"}
    rows = list(csv.DictReader((out / "leaderboard.csv").open()))
    assert {row["codec"] for row in rows} == {"huffman", "entropy"}
    assert len(json.loads((out / "leaderboard.json").read_text())) == len(rows) == 4

    boards = {path.name: path.read_bytes() for path in out.glob("leaderboard.*")}
    again = bench(*SMALL, cwd=tmp_path)
    assert again.returncode == 0
    assert "4 already done, 0 to run" in again.stdout
    assert {path.name: path.read_bytes() for path in out.glob("leaderboard.*")} == boards

    report = bench("report", "--md", "board.md", "--csv", "board.csv", cwd=tmp_path)
    assert report.returncode == 0
    assert (tmp_path / "board.md").read_bytes() == boards["leaderboard.md"]
    assert (tmp_path / "board.csv").read_bytes() == boards["leaderboard.csv"]


def test_dry_run_runs_nothing(tmp_path: Path) -> None:
    done = bench(*SMALL, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "backslash:lam=20:update=gradient+quantize:step=2^-8" in done.stdout
    assert Store(tmp_path / "results" / "local").cells() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--codecs", "hufman"], "did you mean 'huffman'"),
        (["run", "--models", "digits-mpl"], "did you mean 'digits-mlp'"),
        (["run", "--recipes", "backslsh"], "did you mean 'backslash'"),
        (["run", "--suite", "cor"], "known: backslash, backslash-quick, big, core, core-v1, full"),
        (["run", "--codecs", "zstd:levle=3"], "did you mean 'level'"),
        (["run", "--codecs", "exp-golomb:k=99"], "exp-golomb"),
        (["run", "--seeds", "x"], "not of the form"),
        (["run", "--models", "antiberty", "--recipes", "backslash"], "post-training recipes only"),
        (["run", "--no-such-option"], "unrecognized arguments"),
        (["list", "cats"], "invalid choice"),
        ([], "required"),
    ],
)
def test_wrong_use_exits_2_and_says_why(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_failed_cell_exits_1_and_shows_on_the_board(tmp_path: Path) -> None:
    done = bench(
        "run",
        "--models=digits-mlp:steps=5",
        "--recipes=plain+quantize:step=1e-30/2^-8",
        "--codecs=pack",
        "--seeds=0",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "too fine" in done.stdout
    assert "--on-existing failed" in done.stdout
    assert "too fine" in (tmp_path / "results" / "local" / "leaderboard.md").read_text()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "busy").write_text("a file")
    done = bench(*SMALL, "--out", "busy", cwd=tmp_path)
    assert done.returncode == 2
    assert "choose another folder with --out" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.thorough
def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    code, rest = interrupted(*SMALL, "--seeds=0..50", "--jobs=0", cwd=tmp_path)
    assert code == 130
    assert "The same command resumes the run" in rest
    assert len(Store(tmp_path / "results" / "local").cells()) >= 2


@pytest.mark.parametrize("kind", ["codecs", "trainers", "models", "datasets", "suites"])
def test_list(kind: str, tmp_path: Path) -> None:
    done = bench("list", kind, "--json", cwd=tmp_path)
    assert done.returncode == 0
    entries = json.loads(done.stdout)
    assert entries
    table = bench("list", kind, cwd=tmp_path).stdout
    for entry in entries:
        assert {"name", "available", "reason", "summary", "settings"} <= entry.keys()
        assert entry["name"] in table


def test_help_teaches(tmp_path: Path) -> None:
    for arguments in (["--help"], ["run", "--help"]):
        done = bench(*arguments, cwd=tmp_path)
        assert done.returncode == 0
        assert "backslash:lam=10..1000" in done.stdout
        assert "exit codes" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_at_random_moments_it_ends_with_the_same_records(tmp_path: Path) -> None:
    """kill -9 ten times, then once more to the end: nothing is lost, nothing differs."""
    import random

    command = [*COMMAND, *SMALL, "--seeds=0..2"]
    quiet = tmp_path / "quiet"
    subprocess.run([*command, f"--out={quiet}"], check=True, cwd=tmp_path)
    killed = tmp_path / "killed"
    moments = random.Random(9)
    for _ in range(10):
        process = subprocess.Popen([*command, f"--out={killed}"], cwd=tmp_path)
        time.sleep(moments.uniform(2.0, 9.0))
        process.kill()
        process.wait()
    done = subprocess.run([*command, f"--out={killed}"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert comparable(killed) == comparable(quiet)
    assert not list(killed.rglob(".partial-*"))
