"""No committed board is stale: each is what its committed records give."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from slashbench.bench.report.data import results
from slashbench.bench.reproduce import report
from slashbench.bench.reproduce.backslash.studies import BACKSLASH
from slashbench.bench.speed.recording import (
    decode_file_speeds,
    files_to_markdown,
    speeds_to_markdown,
    trainer_speeds_to_markdown,
)
from slashbench.bench.store import merge, published
from slashbench.bench.store.store import Store
from slashbench.bench.submission import checking, consistency
from slashbench.record import decode_speeds, decode_trainer_speeds

RESULTS = Path(__file__).parents[2] / "results"

#: Every folder that is published, in the order of results/README.md. One that is missing fails.
BOARDS = ("core", "core-v1", "smoke", "training-time", "updates", "backslash")
SPEEDS = ("integers", "floats", "low-precision", "deltas")


def test_nothing_is_published_that_is_not_checked_here() -> None:
    folders = {path.name for path in RESULTS.iterdir() if path.is_dir()} - {"local"}
    assert folders == {*BOARDS, "speed", "regimes"}
    # trellis: what `python -m tests.speed.trellis_gain` prints, which takes minutes
    speeds = {*SPEEDS, "files", "trellis", "NOTES"}
    assert {path.stem for path in (RESULTS / "speed").iterdir()} == speeds
    assert {path.name for path in (RESULTS / "regimes").iterdir()} == {
        "trainers.json",
        "trainers.md",
    }


def test_nothing_published_names_a_folder_of_the_machine_it_was_measured_on() -> None:
    for path in filter(Path.is_file, RESULTS.rglob("*")):
        if "local" not in path.relative_to(RESULTS).parts and path.suffix != ".zst":
            assert not consistency.folders_named(path.read_bytes()), path


@pytest.mark.parametrize("name", SPEEDS)
def test_speeds_follow_from_what_was_measured(name: str) -> None:
    measured = decode_speeds((RESULTS / "speed" / f"{name}.json").read_bytes())
    assert measured.speeds
    assert (RESULTS / "speed" / f"{name}.md").read_text() == speeds_to_markdown(measured)


def test_whole_files_follow_from_what_was_measured() -> None:
    measured = decode_file_speeds((RESULTS / "speed" / "files.json").read_bytes())
    assert measured.files
    assert (RESULTS / "speed" / "files.md").read_text() == files_to_markdown(measured)


def test_costs_of_regimes_follow_from_what_was_measured() -> None:
    measured = decode_trainer_speeds((RESULTS / "regimes" / "trainers.json").read_bytes())
    assert measured.speeds
    board = trainer_speeds_to_markdown(measured)
    assert (RESULTS / "regimes" / "trainers.md").read_text() == board


@pytest.mark.parametrize("name", BOARDS)
def test_boards_and_records_pass_the_checks_of_a_submission(name: str) -> None:
    store = Store(RESULTS / name)
    found = results.load(store)
    assert found.every_row
    wrong = [one for one in checking.checks(found, store, None) if one.status == "failed"]
    assert not wrong


@pytest.mark.parametrize("name", BOARDS)
def test_records_are_one_file_that_is_written_again_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_LEVEL", 1)  # lines are compared, which cost less to pack so
    source = Store(RESULTS / name)
    assert not source.holds_loose()
    merge.publish([source], Store(tmp_path))
    assert lines(tmp_path) == lines(RESULTS / name)


def lines(folder: Path) -> bytes:
    packed = (folder / published.NAME).read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


@pytest.mark.thorough
def test_the_reproduced_paper_follows_from_the_records() -> None:
    folder = RESULTS / "backslash"
    found = report.findings(BACKSLASH, Store(folder))
    assert found.evidence.all
    parts = report.sections(found)
    again = "bench reproduce backslash --report --out results/backslash"
    assert (folder / "report.md").read_text() == report.to_markdown(BACKSLASH, parts), again
    drawn = report.pictures(parts)
    assert {path.name for path in folder.glob("*.svg")} == set(drawn)
    for name, picture in drawn.items():
        assert (folder / name).read_text() == picture, again
