"""`bench check-submission` on a real published folder, as it was made and tampered with."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

import slashbench
from slashbench.bench.commands import check_submission
from slashbench.bench.report.data import records
from slashbench.bench.store import published
from slashbench.bench.store.store import Store
from slashbench.bench.submission import rerun
from tests.helpers.command import Done, bench
from tests.helpers.report_lab import Lab

RUN = (
    "run --models digits-mlp:steps=20 --recipes plain+quantize:step=2^-5 "
    "--codecs huffman,rans --seeds 0"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells that were run and published."""
    folder = tmp_path_factory.mktemp("submission")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bench", *RUN.split()])  # what records take for the command
        slashbench.run(
            models="digits-mlp:steps=20",
            recipes="plain+quantize:step=2^-5",
            codecs="huffman,rans",
            seeds=0,
            out=folder / "run",
            progress=False,
        )
    assert bench("publish", "run", "--out", "made", cwd=folder).returncode == 0
    return folder / "made"


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "mine"))


Edit = Callable[[dict[str, Any]], object]


def edit(folder: Path, stage: str, change: Edit, drop: bool = False) -> None:
    """Change, or drop, the last record of a stage."""
    file = folder / published.NAME
    packed = file.read_bytes()
    lines = [
        json.loads(line)
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()
    ]
    last = max(i for i, line in enumerate(lines) if line["stage"] == stage)
    change(lines[last])
    if drop:
        del lines[last]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))


def check(folder: Path, *arguments: object) -> tuple[int, dict[str, str], Done]:
    """Return the exit code and the status of each check."""
    done = bench("check-submission", folder, "--json", *arguments, cwd=folder)
    found = json.loads(done.stdout) if done.stdout else []
    return done.returncode, {one["check"]: one["status"] for one in found}, done


def test_what_was_run_and_published_passes_and_is_equal_when_run_again(made: Path) -> None:
    code, found, done = check(made, "--sample", 2)
    assert code == 0, done
    assert found.pop("choices") == "unclear"
    found.pop("clean code")  # says whether this checkout has changes
    assert found.pop("re-run") == "passed", done.stdout
    assert set(found.values()) == {"passed"}, done.stdout


def nothing(record: dict[str, Any]) -> None:
    """Leave a record as it is."""


@pytest.mark.parametrize(
    ("stage", "change", "drop", "check_name"),
    [
        ("cell", nothing, True, "complete"),
        ("evaluate", nothing, True, "whole"),
        ("time", nothing, True, "whole"),
        ("compress", lambda r: r.update(file_bytes=r["file_bytes"] - 1), False, "sizes"),
        ("compress", lambda r: r["tensors"].pop(), False, "sizes"),
        ("compress", lambda r: r.update(weights_sha256="0" * 64), False, "hashes"),
        ("time", lambda r: r.update(machine="other"), False, "hashes"),
        ("checkpoint", lambda r: r.update(weights_sha256="ab"), False, "hashes"),
        ("evaluate", lambda r: r.update(value=0.5 * r["value"]), False, "metrics"),
        ("evaluate", lambda r: r.update(stderr=0.5 * r["stderr"]), False, "metrics"),
        ("evaluate", lambda r: r["per_item"].pop(), False, "metrics"),
        ("evaluate", lambda r: r.update(split="validation"), False, "test data"),
        ("cell", lambda r: r["provenance"].update(git_commit=None), False, "provenance"),
        ("cell", lambda r: r["provenance"].update(command_line=""), False, "provenance"),
        ("cell", lambda r: r["provenance"].update(platform="/home/ann/x"), False, "no folders"),
    ],
)
def test_what_was_tampered_with_is_found(
    mine: Path, stage: str, change: Edit, drop: bool, check_name: str
) -> None:
    edit(mine, stage, change, drop)
    code, found, done = check(mine, "--no-rerun")
    assert code == 1
    assert found[check_name] == "failed", done.stdout


def test_a_board_that_was_edited_is_found(mine: Path) -> None:
    board = mine / "README.md"
    board.write_text(board.read_text(encoding="utf-8") + "best\n", encoding="utf-8")
    code, found, _ = check(mine, "--no-rerun")
    assert code == 1
    assert [name for name, status in found.items() if status == "failed"] == ["boards"]


@pytest.mark.thorough
def test_a_lie_that_agrees_with_itself_is_found_by_running_it_again(mine: Path) -> None:
    def smaller(record: dict[str, Any]) -> None:
        record["file_bytes"] -= 100
        record["ledger"]["payload"] -= 100

    edit(mine, "compress", smaller)
    assert bench("report", "--out", mine, "--md", mine / "README.md", cwd=mine).returncode == 0
    code, found, _ = check(mine, "--no-rerun")
    assert code == 0
    assert "failed" not in found.values()
    code, found, done = check(mine, "--sample", 2)
    assert code == 1
    assert found["re-run"] == "failed", done.stdout


def test_cells_of_a_command_that_are_not_there_are_named(made: Path) -> None:
    command = f"bench {RUN},zstd"
    code, found, done = check(made, "--no-rerun", "--command", command.replace("0,zstd", "0..1"))
    assert (code, found["complete"]) == (1, "failed")
    assert done.stdout.count("seed 1") == 2


def test_a_folder_whose_commands_make_no_plan_is_no_whole_one(made: Path) -> None:
    code, found, _ = check(made, "--no-rerun", "--command", "bench tune --model digits-mlp")
    assert (code, found["complete, the rest"]) == (0, "unclear")


def test_a_command_line_that_is_none_is_left_out() -> None:
    lines = ["bench run --suite 'smoke", "bench run --nothing", "bench run --suite smoke"]
    assert check_submission.requests(lines).keys() == {lines[-1]}


def test_damage_is_our_error(mine: Path) -> None:
    (mine / published.NAME).write_bytes((mine / published.NAME).read_bytes()[:-9])
    code, found, done = check(mine, "--no-rerun")
    assert (code, found) == (1, {})
    assert "damaged" in done.stderr


def test_the_sample_takes_dear_cells_as_often_as_others_and_never_runs_strangers_models(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    for seed in range(8):
        lab.cell("huffman", 500, model="digits-mlp", seed=seed)
        lab.cell("huffman", 500, model="./theirs:function=evil:run", seed=seed)
    found = records.read(Store(tmp_path))
    names = [
        one.joined.cell.model
        for seed in random.Random(0).sample(range(1000), 40)
        for one in rerun.draw(found, 4, seed)
        if one.cell is None
    ]
    assert set(names) == {"./theirs:function=evil:run"}
    assert 50 <= len(names) <= 110  # of 160 drawn
    assert len(rerun.draw(found, 99, 1)) == 16
    first, again = ([one.joined.cell.key for one in rerun.draw(found, 5, 1)] for _ in range(2))
    assert first == again
