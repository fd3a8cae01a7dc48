"""`bench reproduce backslash` as a user meets it, on a digits MLP that trains for a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slashbench.bench.models.catalog import MODELS
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.bench.reproduce.study import CHOSEN
from slashbench.bench.store.store import Store
from slashbench.record import EvaluateRecord
from tests.helpers.command import Done, bench
from tests.helpers.engine_lab import interrupted
from tests.helpers.paper_lab import Lab, Result

BRIEF = ["--models", "digits-mlp:steps=40", "--quick", "--seeds", "0", "--jobs", "0"]


def reproduce(*arguments: str, cwd: Path) -> Done:
    return bench("reproduce", "backslash", *arguments, cwd=cwd)


@pytest.mark.thorough
def test_it_runs_writes_its_report_and_goes_on(tmp_path: Path) -> None:
    done = reproduce(*BRIEF, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "results" / "local"
    text = (out / "report.md").read_text()
    assert "Fig. 4: Code length falls" in done.stdout
    for number in range(1, 9):
        assert f"## Fig. {number}:" in text
        drawn = (out / f"fig-{number}.svg").read_text()
        assert drawn.startswith("<svg")
        assert f"(fig-{number}.svg)" in text
    for number in range(3, 7):
        assert f"## Table {number}:" in text
    page = (out / "report.html").read_text()
    assert "BackSlash, reproduced" in page
    assert len(page) < 5e6
    splits = [record.split for record in Store(out).all(EvaluateRecord)]
    assert splits.count("train") == 7  # trainings

    before = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = reproduce(*BRIEF, cwd=tmp_path)
    assert again.returncode == 0
    assert "64 already done, 0 to run" in again.stdout
    assert {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_run_decides_most_claims(tmp_path: Path) -> None:
    done = reproduce("--quick", "--jobs", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdicts = [line[:20].strip() for line in done.stdout.splitlines()]
    assert verdicts.count("holds") >= 5
    assert "not run" not in verdicts


def test_a_report_of_published_records_runs_nothing(tmp_path: Path) -> None:
    """Records alone, without weights, are enough."""
    out = tmp_path / "copy"
    lab = Lab(out)
    for seed in range(2):
        lab.run("plain+quantize:step=2^-8", seed, Result(lambda codec: 5.0, 93.0))
    done = reproduce("--report", "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to run" not in done.stdout
    assert "| digits-mlp" in (out / "report.md").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.thorough
def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    code, rest = interrupted("reproduce", "backslash", *BRIEF, cwd=tmp_path)
    assert code == 130
    assert "The same command resumes the run" in rest


def test_a_dry_run_lists_and_writes_nothing(tmp_path: Path) -> None:
    done = reproduce("--quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "200 cells, 0 already done" in done.stdout
    assert "digits-mlp · plain+quantize:step=2^-8 · pack · seed 0" in done.stdout
    assert not list(tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob("report*"))


def test_another_paper_is_refused(tmp_path: Path) -> None:
    done = bench("reproduce", "alexnet", cwd=tmp_path)
    assert done.returncode == 2
    assert "backslash" in done.stderr


def test_the_quick_run_is_a_part_of_the_long_one() -> None:
    quick, long = (
        {str(cell) for cell in matrix.plan(Request(name)).cells}
        for name in ("backslash-quick", "backslash")
    )
    assert quick < long


@pytest.mark.parametrize("model", CHOSEN)
def test_the_chosen_multiplier_is_what_validation_data_prefer(model: str) -> None:
    assert MODELS.get(model).tuned["backslash"]["lam"] == CHOSEN[model]
