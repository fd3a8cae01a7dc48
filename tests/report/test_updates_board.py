"""Updates, whose decoder is given the base, on boards of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from slashbench.bench.report.analysis import updates
from slashbench.bench.report.analysis.findings import findings
from slashbench.bench.report.boards import catalog
from slashbench.bench.report.boards.updates import short_table
from slashbench.bench.report.data.seed_means import Line
from tests.helpers.report_lab import Lab, N

AFTER = "plain+delta+stack+rdoq:step=0.1"
LORA = "lora:rank=4:peak=10+delta+factors:rank=4+stack+quantize:step=0.1"
TRAINED = "delta-q:lam=1:step=0.1:rate=0.1+delta+stack+quantize:step=0.1"
COARSE = "delta-q:lam=9:step=0.1:rate=0.1+delta+stack+quantize:step=0.1"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    good, bad = [50.0, 50.0], [10.0, 10.0]
    for seed in range(3):
        made.cell("rans", 900 + seed, seed=seed, items=good, float_items=good)
        made.cell("rans", 100 + seed, recipe=AFTER, seed=seed, items=good, float_items=good)
        made.cell("rans", 80 + seed, recipe=LORA, seed=seed, items=good, float_items=good)
        made.cell("rans", 40 + seed, recipe=TRAINED, seed=seed, items=good, float_items=good)
        made.cell("rans", 9 + seed, recipe=COARSE, seed=seed, items=bad, float_items=good)
    return made


def test_the_smallest_of_each_way_within_the_tolerance(lab: Lab) -> None:
    found = updates.best(lab.results(), "m")
    assert [each.way for each in found] == [updates.TRAINED, "LoRA", updates.AFTER]
    trained, lora, _ = found
    assert isinstance(trained.line, Line)
    assert trained.line.first.recipe == TRAINED
    assert trained.candidates == 2
    saving = lora.saving
    assert saving is not None
    assert saving.low is not None
    assert saving.high is not None
    assert saving.low < 1 - 41 / 81 < saving.high


def test_the_tracks_never_mix(lab: Lab) -> None:
    results = lab.results()
    assert {line.first.recipe for line in results.lines("m")} == {"plain+quantize:step=2^-8"}
    assert len(results.update_lines("m")) == 4
    assert len(results.every_row) == len(results.rows) + len(results.updates) == 15
    for section in catalog.sections(results, [n for n in catalog.BOARDS if n != "coverage"]):
        for table in section.parts:
            given = "delta" in str(table) and section.name not in ("names", "origin")
            assert not given or "given the base" in section.title + getattr(table, "title", "")


def test_bytes_at_other_sizes_follow_from_bits_per_parameter(lab: Lab) -> None:
    line = next(x for x in lab.results().update_lines("m") if x.first.recipe == TRAINED)
    sizes = updates.extrapolated(line)
    share = 41 / (4 * N)  # of a native file of float32; in an update, every byte counts
    assert sizes["1 GB"] == pytest.approx(1e9 * share, rel=0.01)
    assert sizes["100 GB"] == pytest.approx(100 * sizes["1 GB"])


def test_the_first_screen_names_every_model(lab: Lab) -> None:
    for recipe in (AFTER, TRAINED):
        lab.cell("rans", 100, recipe=recipe, model="n")
    rows = short_table(lab.results(), 9).rows
    assert [row[0] for row in rows] == ["m", "", "", "n", ""]


def test_a_finding_says_which_way_is_smallest(lab: Lab) -> None:
    (said,) = [text for text in findings(lab.results()) if text.startswith("Given its base")]
    assert "by an update trained to be small" in said
    assert "49 % less than by LoRA" in said
    assert "given the base" in lab.first_screen()
