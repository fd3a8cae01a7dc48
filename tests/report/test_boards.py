"""Boards from records with known numbers: what is computed, what is ranked, what is said."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.boards import quality
from slashbench.bench.report.output import export
from slashbench.bench.report.tables import Table
from slashbench.bench.report.ties import Rank
from slashbench.record import (
    CheckpointRecord,
    CompressRecord,
    TimeRecord,
    key_of,
)
from tests.helpers.report_lab import Lab, N


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_sizes(lab: Lab) -> None:
    lab.cell("huffman", 600)
    (row,) = lab.rows()
    assert row.bits_per_parameter == pytest.approx(8 * (600 - 40) / N)
    assert row.bits_per_coded == pytest.approx(8 * 470 / 980)
    assert row.bits_per_coded_embedding == pytest.approx(2.0)
    assert row.bits_per_coded_matrix == pytest.approx(4.0)
    assert row.entropy_bits == pytest.approx(3530 / 980)
    assert row.gap == pytest.approx(8 * 470 / 3530 - 1)
    assert row.ratio_to_native == pytest.approx(4000 / 560)
    assert row.train_s == 2.5
    assert row.train_steps == 7


def test_speeds_are_medians_of_native_bytes(lab: Lab) -> None:
    lab.cell("huffman", 600)
    (row,) = lab.rows()
    assert row.decode_mb_s == pytest.approx(3920 / 2e-3 / 1e6)
    assert row.decode_mparams_s == pytest.approx(980 / 2e-3 / 1e6)


def test_a_bound_has_no_speed_and_no_rank(lab: Lab) -> None:
    lab.cell("entropy", 520.5)
    lab.cell("huffman", 600)
    bound = next(row for row in lab.rows() if row.bound)
    assert bound.bits_per_parameter == pytest.approx(8 * 520.5 / N)
    assert bound.gap == pytest.approx(0.0)
    assert bound.decode_mb_s is None
    (block,) = lab.results().blocks
    assert [line.place for line in block.lines] == [None, Rank(1, 1)]


def test_difference_to_plain_is_paired(lab: Lab) -> None:
    before = [100.0, 100.0, 0.0, 100.0, 0.0, 100.0]
    after = [100.0, 0.0, 0.0, 100.0, 100.0, 0.0]
    lab.cell("huffman", 600, items=after, float_items=before)
    (row,) = lab.rows()
    test = stats.ttest_rel(after, before)
    assert row.delta == pytest.approx(np.mean(after) - np.mean(before))
    assert row.delta is not None
    assert row.delta_stderr == pytest.approx(row.delta / test.statistic)
    assert row.loss == pytest.approx(-row.delta)
    assert row.keeps_accuracy is False


def test_loss_is_in_the_unit_of_the_metric(lab: Lab) -> None:
    lab.cell("ans", 600, items=[2.02, 2.06], float_items=[2.0, 2.0], higher=False, tolerance=0.05)
    lab.cell("rans", 600, items=[2.02, 2.06], float_items=[2.0, 2.0], higher=False, tolerance=0.03)
    within, beyond = lab.rows()
    assert within.loss == pytest.approx(0.04)
    assert within.delta_stderr == pytest.approx(stats.sem([0.02, 0.06]))
    assert (within.keeps_accuracy, beyond.keeps_accuracy) == (True, False)


def test_what_stands_beside_the_metric_and_its_noise_floor(lab: Lab) -> None:
    beside = {"accuracy": 91.25, "kl": 0.0123, "kl_stderr": 0.002, "flips": 1.5, "same_top": 97.75}
    for step, items in ((8, [2.0, 2.0, 2.004]), (3, [2.5, 2.7, 2.6])):
        lab.cell("rans", 600, recipe=f"plain+quantize:step=2^-{step}", items=items, higher=False,
                 float_items=[2.0] * 3, tolerance=0.01, beside=beside, noise=3e-6)  # fmt: skip
    (table,) = quality.section(lab.results()).parts
    assert isinstance(table, Table)
    assert [row[:3] for row in table.rows] == [
        ("noise floor", "0.000003", "–"),
        ("plain+quantize:step=2^-8", "+0.001 ± 0.001", "yes"),
        ("plain+quantize:step=2^-3", "+0.600 ± 0.058", "no"),
    ]
    assert table.rows[1][4:] == ("91.25", "0.012 ± 0.002", "1.50", "97.75")


def test_without_plain_there_is_no_baseline(lab: Lab) -> None:
    lab.cell("huffman", 600, recipe="backslash:lam=1+quantize:step=2^-8")
    (row,) = lab.rows()
    assert row.baseline is None
    assert row.loss is None
    assert row.keeps_accuracy is None
    assert "no plain float model was run" in lab.shown(240)


def test_pruned_plain_is_not_the_baseline(lab: Lab) -> None:
    lab.cell("huffman", 600, recipe="plain+prune:sparsity=0.5+quantize:step=2^-8")
    assert lab.rows()[0].baseline is None


def test_equal_sizes_share_a_rank(lab: Lab) -> None:
    for codec, size in (("a", 600), ("b", 600), ("c", 601)):
        lab.cell(codec, size)
    (block,) = lab.results().blocks
    assert [(line.first.codec, line.place) for line in block.lines] == [
        ("a", Rank(1, 2)),
        ("b", Rank(1, 2)),
        ("c", Rank(3, 3)),
    ]


def test_sizes_are_exact_over_seeds_too(lab: Lab) -> None:
    """a and b swap places from seed to seed: the sum of their bytes orders them all the same."""
    for seed, sizes in enumerate([(600, 602, 700), (602, 600, 703), (601, 602, 701)]):
        for codec, size in zip("abc", sizes, strict=True):
            lab.cell(codec, size, seed=seed)
    (block,) = lab.results().blocks
    places = {line.first.codec: line.place for line in block.lines}
    assert places == {"a": Rank(1, 1), "b": Rank(2, 2), "c": Rank(3, 3)}
    smallest = block.lines[0]
    assert smallest.bits == pytest.approx(8 * (601 - 40) / N)
    assert smallest.bits_stderr == pytest.approx(8 / N * 1 / math.sqrt(3))


class TestEqualAccuracy:
    good, bad = [100.0] * 200, [100.0] * 190 + [0.0] * 10

    def test_each_side_chooses_among_what_keeps_the_metric(self, lab: Lab) -> None:
        def cell(recipe: str, codec: str, size: float, items: list[float]) -> None:
            lab.cell(codec, size, recipe=recipe, items=items, float_items=self.good)

        cell("plain+quantize:step=2^-8", "huffman", 800, self.good)
        cell("plain+quantize:step=2^-5", "huffman", 500, self.good)
        cell("plain+quantize:step=2^-5", "entropy", 400, self.good)  # no code
        cell("plain+quantize:step=2^-3", "huffman", 300, self.bad)  # loses 5 points
        cell("backslash:lam=1+quantize:step=2^-8", "ans", 420, self.good)
        cell("backslash:lam=9+quantize:step=2^-8", "ans", 100, self.bad)
        contest = equal_accuracy.best("m", lab.results().lines("m"))
        assert not isinstance(contest.post_training, str)
        assert not isinstance(contest.training_time, str)
        assert contest.post_training.first.recipe == "plain+quantize:step=2^-5"
        assert contest.post_training.first.codec == "huffman"
        assert contest.training_time.first.recipe == "backslash:lam=1+quantize:step=2^-8"
        assert contest.saving is not None
        assert contest.saving.estimate == pytest.approx(1 - (420 - 40) / (500 - 40))

        (same,) = equal_accuracy.best_at_equal_step("m", lab.results().lines("m"))
        assert not isinstance(same.post_training, str)
        assert same.post_training.first.recipe == "plain+quantize:step=2^-8"

    def test_in_words_where_nothing_keeps_it(self, lab: Lab) -> None:
        lab.cell("huffman", 500, items=self.bad, float_items=self.good)
        contest = equal_accuracy.best("m", lab.results().lines("m"))
        assert contest.post_training == "none in tolerance"
        assert contest.training_time == "none was run"
        assert contest.saving is None


def test_a_failed_cell_stands_on_every_board_with_its_reason(lab: Lab) -> None:
    lab.cell("huffman", 600)
    lab.cell("zstd", 0, failed="compress: boom")
    assert [row.status for row in lab.rows()] == ["ok", "failed"]
    assert "compress: boom" in lab.shown()
    assert "compress: boom" in export.to_markdown(lab.results(), ["coverage"])
    for kind in ("html", "csv", "json"):
        assert "compress: boom" in str(export.FORMATS[kind](lab.results()))


def test_lost_records_count_as_failed(lab: Lab) -> None:
    lab.cell("huffman", 600)
    for path in lab.folder.rglob("records/compress/**/*.json"):
        path.unlink()
    (row,) = lab.rows()
    assert row.status == "failed"
    assert "run it again" in row.reason


def test_two_machines_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    lab.cell("huffman", 600)
    other = Lab(tmp_path / "other")
    other.cell("huffman", 600, seed=1, machine="there")
    for path in other.folder.rglob("*.json"):
        target = lab.folder / path.relative_to(other.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (block,) = lab.results().blocks
    (line,) = block.lines
    assert [row.seed for row in line.rows] == [0, 1]  # sizes are the same wherever they are made
    assert [row.machine for row in line.clocks] == ["here"]
    shown = lab.shown(160)
    assert "integers · machine there" in shown
    assert "Speeds are of machine here" in shown


def test_a_codec_timed_on_two_machines_takes_one_place(lab: Lab) -> None:
    lab.cell("huffman", 600)
    lab.cell("zstd", 700)
    for cell in lab.store.cells():
        timed = lab.store.get(TimeRecord, cell.time)
        assert timed is not None
        there = msgspec.structs.replace(timed, key=key_of("there", of=timed.key), machine="there")
        lab.store.put(there)
        again = key_of("there", of=cell.key)
        lab.store.put(msgspec.structs.replace(cell, key=again, time=there.key))
    (block,) = lab.results().blocks
    assert [(line.first.codec, line.place) for line in block.lines] == [
        ("huffman", Rank(1, 1)),
        ("zstd", Rank(2, 2)),
    ]


@pytest.mark.parametrize("key", ["0" * 64, "f" * 64])  # the order of keys must not decide
def test_the_last_measurement_of_equal_cells_counts(lab: Lab, key: str) -> None:
    lab.cell("huffman", 600)
    (cell,) = lab.store.cells()
    size = lab.store.get(CompressRecord, cell.compress)
    assert size is not None
    later = msgspec.structs.replace(cell.provenance, measured_at="2099-01-01T00:00:00+00:00")
    new = msgspec.structs.replace(size, key=key, file_bytes=700, provenance=later)
    lab.store.put(new)
    lab.store.put(msgspec.structs.replace(cell, key=key, compress=new.key, provenance=later))
    (block,) = lab.results().blocks
    assert [line.bits for line in block.lines] == [8 * (700 - 40) / N]


def test_post_training_steps_keep_the_cost_of_their_training(lab: Lab) -> None:
    """As bench/pipeline/stages.py writes it: the record of a pruned checkpoint has no training."""
    lab.cell("huffman", 600)
    lab.cell("huffman", 500, recipe="plain+prune:sparsity=0.5+quantize:step=2^-8")
    for point in list(lab.store.all(CheckpointRecord)):
        if point.recipe != "plain":
            lab.store.put(msgspec.structs.replace(point, training=None))
    assert [(row.train_steps, row.train_s) for row in lab.rows()] == [(7, 2.5), (7, 2.5)]


def test_a_reason_of_several_lines_stays_one_row_of_markdown(lab: Lab) -> None:
    lab.cell("zstd", 0, failed="compress: first\nsecond | third")
    assert "compress: first second \\| third" in export.to_markdown(lab.results(), ["coverage"])


def test_files_are_the_same_for_the_same_records(lab: Lab) -> None:
    lab.cell("huffman", 600)
    lab.cell("entropy", 520)

    def boards() -> dict[str, bytes]:
        paths = map(Path, export.write_boards(lab.results(), lab.store))
        return {path.name: path.read_bytes() for path in paths}

    first, second = boards(), boards()
    assert first == second
    read = list(csv.DictReader(io.StringIO(first["leaderboard.csv"].decode())))
    objects = json.loads(first["leaderboard.json"])
    assert len(read) == len(objects) == 2
    for line, entry in zip(read, objects, strict=True):
        assert line["codec"] == entry["codec"]
        assert float(line["bits_per_parameter"]) == entry["bits_per_parameter"]
        assert (line["decode_mb_s"] == "") == (entry["decode_mb_s"] is None)


def test_boards_are_made_anew_only_where_their_records_are_others(lab: Lab) -> None:
    lab.cell("huffman", 600)
    page, *_ = (Path(p) for p in export.refresh(lab.results(), lab.store) if p.endswith(".md"))
    page.write_text("as it was", encoding="utf-8")
    export.refresh(lab.results(), lab.store)
    assert page.read_text(encoding="utf-8") == "as it was"
    lab.cell("entropy", 520)
    export.refresh(lab.results(), lab.store)
    assert "huffman" in page.read_text(encoding="utf-8")
    page.unlink()
    export.refresh(lab.results(), lab.store)
    assert page.is_file()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_shows_what_counts_at_any_width(lab: Lab, width: int) -> None:
    lab.cell("huffman", 600)
    lab.cell("entropy", 520)
    shown = lab.shown(width)
    assert max(map(len, shown.splitlines())) <= width
    for text in ("huffman", "4.480", "bound", "m · plain+quantize:step=2^-8"):
        assert text in shown


def test_an_empty_store_says_how_to_begin(lab: Lab) -> None:
    assert "bench run --suite smoke" in lab.shown()
    assert "bench run --suite smoke" in export.to_markdown(lab.results())
    assert json.loads(export.to_json(lab.results())) == []
