"""No committed board is stale: each is what its committed records give."""

from __future__ import annotations

from pathlib import Path

import pytest

from slashbench.bench.report.data import results
from slashbench.bench.report.output import export
from slashbench.bench.reproduce import report
from slashbench.bench.reproduce.backslash.studies import BACKSLASH
from slashbench.bench.speed.recording import speeds_to_markdown, trainer_speeds_to_markdown
from slashbench.bench.store.store import Store
from slashbench.record import decode_speeds, decode_trainer_speeds

RESULTS = Path(__file__).parents[2] / "results"
PUBLISHED = sorted(p.parent for p in RESULTS.glob("*/records") if p.parent.name != "local")


@pytest.mark.parametrize("board", sorted((RESULTS / "speed").glob("*.md")), ids=lambda p: p.stem)
def test_speeds_follow_from_what_was_measured(board: Path) -> None:
    measured = decode_speeds(board.with_suffix(".json").read_bytes())
    assert board.read_text() == speeds_to_markdown(measured)


def test_costs_of_regimes_follow_from_what_was_measured() -> None:
    for measured in RESULTS.glob("*/trainers.json"):
        board = trainer_speeds_to_markdown(decode_trainer_speeds(measured.read_bytes()))
        assert measured.with_suffix(".md").read_text() == board


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_boards_follow_from_the_records(folder: Path) -> None:
    found = results.load(Store(folder))
    boards = sorted(folder.glob("leaderboard.*"))
    assert boards
    for board in boards:
        made = export.FORMATS[board.suffix[1:]](found)
        assert made == board.read_text(), (
            f"bench report --out {folder} --{board.suffix[1:]} {board}"
        )


def test_the_reproduced_paper_follows_from_the_records() -> None:
    folder = RESULTS / "backslash"
    parts = report.sections(report.findings(BACKSLASH, Store(folder)))
    again = "bench reproduce backslash --report --out results/backslash"
    assert (folder / "report.md").read_text() == report.to_markdown(BACKSLASH, parts), again
    drawn = report.pictures(parts)
    assert {path.name for path in folder.glob("*.svg")} == set(drawn)
    for name, picture in drawn.items():
        assert (folder / name).read_text() == picture, again
