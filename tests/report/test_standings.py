"""Codecs over a matrix with holes, fronts over noise, contests on equal footings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.analysis.pareto import front, points
from slashbench.bench.report.analysis.rate_curves import bd_rate_to, regimes
from slashbench.bench.report.analysis.standings import decoding, duel, standings
from slashbench.bench.report.boards import codecs
from slashbench.bench.report.statistics import Interval
from slashbench.bench.report.tables import Table
from slashbench.bench.report.ties import Rank
from tests.helpers.report_lab import Lab, N


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_ratios_of_codecs_are_geometric_means_over_models(lab: Lab) -> None:
    for model, a, b in (("m", 540, 1040), ("n", 1040, 1540)):
        lab.cell("a", a, model=model)
        lab.cell("b", b, model=model)
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    assert [s.codec for s in board.standings] == ["a", "b"]
    second = board.standings[1]
    assert second.ratio == pytest.approx((2.0 * 1.5) ** 0.5)
    assert (second.least, second.most) == (pytest.approx(1.5), pytest.approx(2.0))
    assert board.standings[0].per_model == pytest.approx({"m": 4.0, "n": 8.0})
    assert board.models == 2


def test_what_a_new_model_would_show_stands_beside_what_is_exact_here(lab: Lab) -> None:
    """b is larger by 10, 12 and 8 %: exact here; a fourth model would lie in a wider range."""
    logs = []
    for model, factor in (("m", 1.10), ("n", 1.12), ("o", 1.08)):
        lab.cell("a", 1040, model=model)
        lab.cell("b", 40 + 1000 * factor, model=model)
        logs.append(math.log(factor))
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    first, second = board.standings
    assert (first.place, second.place) == (Rank(1, 1), Rank(2, 2))
    assert (first.wins, second.wins, board.common) == (3, 0, 3)
    assert first.elsewhere is None
    assert second.elsewhere is not None
    reach = stats.t.ppf(0.975, 2) * np.std(logs, ddof=1) * math.sqrt(1 + 1 / 3)
    assert second.elsewhere.high == pytest.approx(math.exp(np.mean(logs) + reach))
    (table,) = codecs.section(lab.results()).parts
    assert isinstance(table, Table)
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["smallest in"] for row in shown] == ["3 of 3", "0 of 3"]
    assert [row["beats next in"] for row in shown] == ["3 of 3", "–"]


def test_of_one_model_nothing_is_said_of_others(lab: Lab) -> None:
    for seed in range(3):
        lab.cell("a", 600 + seed, seed=seed)
        lab.cell("b", 700 + seed, seed=seed)
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    assert board.standings[1].elsewhere == Interval(pytest.approx(board.standings[1].ratio))
    assert "one model: too few to say anything of others" in lab.shown(160, ["codecs"])


def test_two_codecs_meet_on_every_cell_that_both_ran(lab: Lab) -> None:
    for seed, (a, b) in enumerate([(540, 640), (540, 540), (640, 540), (540, 740)]):
        lab.cell("a", a, seed=seed)
        if seed < 3:
            lab.cell("b", b, seed=seed)
    found = duel(lab.rows(), "a", "b", lambda row: row.bits_per_parameter)
    assert found is not None
    assert (found.cells, found.wins, found.losses, found.one_sided) == (3, 1, 1, False)
    assert found.ratio == pytest.approx(1.0)
    assert duel(lab.rows(), "a", "c", lambda row: row.bits_per_parameter) is None


def test_missing_cells_are_not_imputed(lab: Lab) -> None:
    """c ran once of six, so it has no place; b lacks one cell, which then counts for nobody."""
    for seed in range(6):
        lab.cell("a", 600 + seed, seed=seed)
        if seed != 3:
            lab.cell("b", 500 + seed, seed=seed)
    lab.cell("c", 100, seed=0)  # alone it would leave a sixth of the cells
    lab.cell("b", 0, seed=3, failed="compress: boom")
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    assert [(s.codec, s.cases) for s in board.standings] == [("b", 5), ("a", 6)]
    assert board.unranked == {"c": 1}
    assert (board.cases, board.common) == (6, 5)
    shown = lab.shown(160, ["codecs"])
    assert "1 of 6" in shown
    assert "5 of 6 cells are common to all ranked" in shown


def test_a_codec_that_lacks_a_model_is_not_ranked(lab: Lab) -> None:
    for model in ("m", "n"):
        lab.cell("a", 600, model=model)
        lab.cell("b", 500, model=model)
    lab.cell("c", 100, model="m")
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    assert [s.codec for s in board.standings] == ["b", "a"]
    assert board.unranked == {"c": 1}


def test_speeds_tie_within_the_noise_of_their_rounds(lab: Lab) -> None:
    """The rounds of a cell go from half to nine times the median: none is surely faster."""
    lab.cell("a", 600, decode_ns=2_000_000)
    lab.cell("b", 600, decode_ns=2_060_000)
    lab.cell("c", 600, decode_ns=9_000_000)
    board = decoding(lab.rows())
    assert board is not None
    assert [(s.codec, s.place) for s in board.standings] == [
        ("a", Rank(1, 2)),
        ("b", Rank(1, 2)),
        ("c", Rank(3, 3)),
    ]


def test_what_was_measured_again_without_a_time_keeps_the_rounds_that_it_has(lab: Lab) -> None:
    lab.cell("a", 600, decode_ns=2_000_000)
    lab.cell("b", 600, decode_ns=9_000_000)
    slow = next(row for row in lab.rows() if row.codec == "b")
    untimed = replace(slow, decode_ns=(), decode_mparams_s=None)
    for again in (untimed, replace(untimed, status="failed")):
        board = decoding([*lab.rows(), again])
        assert board is not None
        assert [(s.codec, s.place) for s in board.standings] == [
            ("a", Rank(1, 1)),
            ("b", Rank(2, 2)),
        ]


def test_the_parts_of_the_headline_sum_to_it(lab: Lab) -> None:
    lab.cell("a", 600)
    (row,) = lab.rows()
    assert row.payload_share is not None
    assert row.entropy_share == pytest.approx(3530 / N)
    assert row.waste_share == pytest.approx(row.payload_share - 3530 / N)
    assert row.side_share is not None
    assert row.float_share is not None
    total = row.payload_share + row.side_share + row.float_share
    assert total == pytest.approx(row.bits_per_parameter)


class TestFront:
    alike = [100.0] * 50 + [0.0] * 50

    def shown(self, lab: Lab) -> set[str]:
        return {point.line.first.codec for point in front(points(lab.results().lines("m")))}

    def test_what_is_beaten_in_all_is_off_it(self, lab: Lab) -> None:
        lab.cell("small", 500, decode_ns=4_000_000)
        lab.cell("fast", 700, decode_ns=1_000_000)
        lab.cell("neither", 701, decode_ns=4_100_000)
        assert self.shown(lab) == {"small", "fast"}

    def test_a_metric_within_noise_beats_nobody(self, lab: Lab) -> None:
        """One item of a hundred less, at the same size and speed: not surely worse."""
        worse = [*self.alike[1:], 0.0]
        lab.cell("a", 600, items=self.alike, float_items=self.alike)
        lab.cell("b", 600, items=worse, float_items=self.alike)
        assert self.shown(lab) == {"a", "b"}


class TestFootings:
    plain, ours = "plain+quantize:step=2^-5", "backslash:lam=1+quantize:step=2^-5"

    def test_a_loss_within_the_tolerance_may_be_in_doubt(self, lab: Lab) -> None:
        before = [1.0, 2.0] * 50
        for step, after in ((8, before), (5, [1.001, 2.017] * 50), (3, [1.1, 2.0] * 50)):
            lab.cell("a", 40 + 100 * step, recipe=f"plain+quantize:step=2^-{step}", items=after,
                     float_items=before, higher=False, tolerance=0.01)  # fmt: skip
        lines = {line.first.quantiser[-1]: line for line in lab.results().lines("m")}
        assert [lines[step].keeps_quality for step in "853"] == [True, True, False]
        assert [lines[step].in_doubt for step in "853"] == [False, True, False]
        chosen = equal_accuracy.best("m", list(lines.values())).post_training
        assert chosen is lines["5"]

    def test_longer_training_is_no_compression_while_training(self, lab: Lab) -> None:
        lab.cell("a", 500, recipe="plain:longer=1.5+quantize:step=2^-5")
        trained, after = equal_accuracy.split(lab.results().lines("m"))
        assert (len(trained), len(after)) == (0, 1)

    def test_equal_compute_asks_for_a_run_that_took_as_long(self, lab: Lab) -> None:
        lab.cell("a", 600, recipe=self.plain, cpu_s=10.0)
        lab.cell("a", 500, recipe=self.ours, cpu_s=15.0)
        contest = equal_accuracy.best_at_equal_compute("m", lab.results().lines("m"))
        assert contest is not None
        assert contest.post_training == "none took as long: add plain:longer=1.50"
        lab.cell("a", 550, recipe="plain:longer=1.5+quantize:step=2^-5", cpu_s=14.9)
        contest = equal_accuracy.best_at_equal_compute("m", lab.results().lines("m"))
        assert contest is not None
        assert contest.saving == Interval(pytest.approx(1 - 460 / 510))

    def test_savings_have_a_range_over_seeds(self, lab: Lab) -> None:
        for seed, (a, b) in enumerate([(540, 440), (640, 500), (580, 470)]):
            lab.cell("a", a, recipe=self.plain, seed=seed)
            lab.cell("a", b, recipe=self.ours, seed=seed)
        contest = equal_accuracy.best("m", lab.results().lines("m"))
        assert contest.saving is not None
        assert contest.saving.low is not None
        assert contest.saving.high is not None
        assert 0 < contest.saving.low < contest.saving.estimate < contest.saving.high < 1


def test_bd_rate_follows_the_log_likelihood_over_seeds(lab: Lab) -> None:
    """Half of the bits at every likelihood, whatever the accuracy does."""
    for seed in range(3):
        for step, bits in enumerate((2, 3, 5, 8)):
            for regime, factor in (("plain", 1.0), ("backslash:lam=1", 0.5)):
                lab.cell(
                    "a",
                    40 + 125 * bits * factor * (1 + 0.01 * seed),
                    recipe=f"{regime}+quantize:step=2^-{step}",
                    nll=2.0 - 0.3 * step + 0.001 * seed,
                    seed=seed,
                )
    plain, ours = regimes("m", lab.results().lines("m"))
    found = bd_rate_to(plain, ours)
    assert not isinstance(found, str)
    assert found.estimate == pytest.approx(-0.5, abs=1e-6)


def test_the_saving_over_all_models_is_a_geometric_mean(lab: Lab) -> None:
    for model, a, b in (("m", 840, 440), ("n", 840, 640)):
        lab.cell("a", a, recipe=TestFootings.plain, model=model)
        lab.cell("a", b, recipe=TestFootings.ours, model=model)
    contests = [equal_accuracy.best(m, lab.results().lines(m)) for m in ("m", "n")]
    overall = equal_accuracy.overall_saving(contests)
    assert overall is not None
    assert overall[0] == 2  # models
    assert overall[1].estimate == pytest.approx(1 - (0.5 * 0.75) ** 0.5)
    assert "geometric mean over 2 of 2 models" in lab.shown(200, ["equal-accuracy"])


def test_codecs_without_a_case_in_common_are_not_ranked_together(lab: Lab) -> None:
    lab.cell("a", 600, model="m")
    lab.cell("b", 600, model="n")
    board = standings(lab.rows(), lambda row: row.bits_per_parameter)
    assert board is not None
    assert [s.codec for s in board.standings] == ["a"]
    assert board.unranked == {"b": 1}


def test_another_execution_is_another_curve(lab: Lab) -> None:
    """Trained under autocast: neither a point of the usual curve nor without a baseline."""
    for execution in ("", "bf16"):
        for step in (4, 8):
            lab.cell("a", 500 + step, recipe=f"plain+quantize:step=2^-{step}", execution=execution)
    assert [regime.chain for regime in regimes("m", lab.results().lines("m"))] == [
        "plain",
        "plain (bf16)",
    ]
    assert all(row.baseline is not None for row in lab.rows())


def test_a_chain_is_on_the_side_of_the_regimes_in_it(lab: Lab) -> None:
    """Distilling floats sees no quantiser, so it is no compression while training."""
    taught, rate = "plain+plain:distil=0.7", "plain+backslash-q:lam=1"
    lab.cell("a", 600, recipe=f"{taught}+gptq-loss", regime=taught)
    lab.cell("a", 500, recipe=f"{rate}+ongrid", regime=rate)
    trained, after = equal_accuracy.split(lab.results().lines("m"))
    assert [line.first.regime for line in trained] == [rate]
    assert [line.first.regime for line in after] == [taught]


def test_the_drift_of_a_training_is_a_column_of_its_regime(lab: Lab) -> None:
    steps = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "drift": 2.5, "moved": 0.125}]
    lab.cell("a", 600, recipe="qat+quantize:step=2^-4", log=steps)
    lab.cell("a", 600)
    ours, plain = (next(r for r in lab.rows() if r.regime == name) for name in ("qat", "plain"))
    assert (ours.drift, ours.moved) == (2.5, 0.125)
    assert (plain.drift, plain.moved) == (None, None)
    assert "12.5 %" in lab.shown(200, ["regimes"])


def test_a_lone_small_seed_does_not_win_for_its_side(lab: Lab) -> None:
    for seed, size in enumerate((1000, 1100, 1200)):
        lab.cell("a", size, recipe=TestFootings.plain, seed=seed)
    lab.cell("b", 950, recipe=TestFootings.plain, seed=0)
    chosen = equal_accuracy.best("m", lab.results().lines("m")).post_training
    assert not isinstance(chosen, str)
    assert chosen.first.codec == "a"


def test_lossless_files_are_no_rivals_at_equal_accuracy(lab: Lab) -> None:
    lab.cell("zstd", 3000, recipe="plain+native")
    lab.cell("a", 500, recipe=TestFootings.ours)
    contest = equal_accuracy.best("m", lab.results().lines("m"))
    assert contest.post_training == "none was run"
    assert contest.saving is None


def test_speeds_of_two_machines_do_not_meet(lab: Lab) -> None:
    """rans, timed on the slow machine alone, is not said to load later than huffman."""
    for step in (3, 5):
        lab.cell("huffman", 600, recipe=f"plain+quantize:step=2^-{step}", machine="fast")
    lab.cell("rans", 500, recipe="plain+quantize:step=2^-3", decode_ns=10**9, machine="slow")
    assert [p.line.first.codec for p in points(lab.results().lines("m"))] == ["huffman"] * 2
    assert "rans" not in lab.shown(200, ["deployment"])
