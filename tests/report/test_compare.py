"""`bench compare` through the command: two runs, two recipes, and what must not be."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slashbench.record import TimeRecord, key_of
from tests.helpers.command import outcome
from tests.helpers.report_lab import Lab


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Lab, Lab]:
    before, after = Lab(tmp_path / "before"), Lab(tmp_path / "after")
    for seed in range(3):
        before.cell("huffman", 600, seed=seed, decode_ns=1_000_000 + 9_000 * seed)
        after.cell("huffman", 600, seed=seed, decode_ns=1_500_000 + 7_000 * seed)
        before.cell("rans", 500 + seed, seed=seed)
        after.cell("rans", 500 + seed, seed=seed)
    return before, after


def test_runs_that_are_alike(runs: tuple[Lab, Lab]) -> None:
    folder = runs[0].folder
    code, said = outcome("compare", folder, folder, "--fail-on", "bytes>0,decode<-1%")
    assert code == 0
    assert "6 matched cells" in said
    assert "+0.00 %" in said


def test_a_slower_decoder_beyond_doubt(runs: tuple[Lab, Lab]) -> None:
    before, after = (run.folder for run in runs)
    code, said = outcome("compare", before, after, "--fail-on", "decode<-10%")
    assert code == 1
    assert "decode<-10%: huffman: -3" in said
    assert "rans:" not in said
    code, _ = outcome("compare", before, after, "--fail-on", "decode<-40%")
    assert code == 0
    code, _ = outcome("compare", before, after)
    assert code == 0  # nothing was forbidden


def test_one_byte_more_is_a_change(runs: tuple[Lab, Lab]) -> None:
    before, after = runs
    after.cell("rans", 503, seed=2)
    code, said = outcome("compare", before.folder, after.folder, "--fail-on", "bytes>0")
    assert code == 1
    assert (
        "bytes>0: m · plain+quantize:step=2^-8 · rans · seed 2: +0.216 %, from 502 to 503 bytes"
        in said
    )
    code, _ = outcome("compare", before.folder, after.folder, "--fail-on", "bytes>1%")
    assert code == 0


def test_a_metric_that_falls_for_every_seed(runs: tuple[Lab, Lab]) -> None:
    before, after = runs
    good = [100.0] * 100
    for seed in range(3):
        before.cell("max", 400, seed=seed, model="n", items=good, float_items=good)
        worse = [100.0] * (97 - seed % 2) + [0.0] * (3 + seed % 2)
        after.cell("max", 400, seed=seed, model="n", items=worse, float_items=good)
    arguments = ("compare", before.folder, after.folder, "--fail-on")
    code, said = outcome(*arguments, "metric<-0.5")
    assert code == 1
    assert "metric<-0.5: n · plain+quantize:step=2^-8: -3.333" in said
    assert outcome(*arguments, "metric<-3.2")[0] == 0  # within the noise of the seeds


def test_other_machines_are_not_compared_in_speed(runs: tuple[Lab, Lab], tmp_path: Path) -> None:
    elsewhere = Lab(tmp_path / "elsewhere")
    for seed in range(3):
        for codec, size in (("huffman", 600), ("rans", 500 + seed)):
            elsewhere.cell(codec, size, seed=seed, decode_ns=9_000_000, machine="there")
    code, said = outcome("compare", runs[0].folder, elsewhere.folder, "--fail-on", "decode<-1%")
    assert code == 0
    assert "6 matched cells" in said


def test_a_second_machine_hides_no_slowness(runs: tuple[Lab, Lab]) -> None:
    """The first was timed on two machines, last on one that the second was not timed on."""
    before, after = runs
    for cell in before.store.cells():
        timed = before.store.get(TimeRecord, cell.time)
        assert timed is not None
        later = msgspec.structs.replace(cell.provenance, measured_at="2099-01-01T00:00:00+00:00")
        there = msgspec.structs.replace(timed, key=key_of("there", of=timed.key), machine="there")
        before.store.put(there)
        again = msgspec.structs.replace(
            cell, key=key_of("there", of=cell.key), time=there.key, provenance=later
        )
        before.store.put(again)
    code, said = outcome(
        "compare", before.store.where, after.store.where, "--fail-on", "decode<-10%"
    )
    assert code == 1
    assert "huffman" in said


def test_what_is_gone_counts(runs: tuple[Lab, Lab]) -> None:
    before, after = runs
    before.cell("max", 400)
    code, said = outcome("compare", before.store.where, after.store.where, "--fail-on", "bytes>0")
    assert code == 1
    assert "missing: m · plain+quantize:step=2^-8 · max · seed 0" in said


def test_nothing_to_compare_is_no_success(tmp_path: Path) -> None:
    Lab(tmp_path / "a").cell("rans", 500)
    Lab(tmp_path / "b").cell("max", 500)
    code, said = outcome("compare", tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert "nothing to compare" in said


def test_one_recipe_that_loses_is_not_averaged_away(tmp_path: Path) -> None:
    before, after = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    good = [100.0] * 100
    for step in range(1, 12):
        for seed in range(3):
            recipe = f"plain+quantize:step=2^-{step}"
            lost = 5 + seed if step == 1 else 0
            items = [100.0] * (100 - lost) + [0.0] * lost
            before.cell("rans", 500, recipe=recipe, seed=seed, items=good, float_items=good)
            after.cell("rans", 500, recipe=recipe, seed=seed, items=items, float_items=good)
    code, said = outcome("compare", tmp_path / "a", tmp_path / "b", "--fail-on", "metric<-0.5")
    assert code == 1
    assert "metric<-0.5: m · plain+quantize:step=2^-1:" in said


def test_one_seed_is_judged_by_its_test_items(tmp_path: Path) -> None:
    before, after = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    good, bad = [100.0] * 300 + [0.0] * 100, [100.0] * 100 + [0.0] * 300
    before.cell("rans", 500, items=good, float_items=good)
    after.cell("rans", 500, items=bad, float_items=good)
    arguments = ("compare", tmp_path / "a", tmp_path / "b", "--fail-on")
    assert outcome(*arguments, "metric<-40")[0] == 1
    assert outcome(*arguments, "metric<-49")[0] == 0


def test_what_fails_now_counts(runs: tuple[Lab, Lab]) -> None:
    before, after = runs
    after.cell("rans", 0, seed=0, failed="compress: boom")
    arguments = ("compare", before.folder, after.folder, "--fail-on", "bytes>0")
    code, said = outcome(*arguments)
    assert code == 1
    assert "compress: boom" in said


def test_recipes_under_each_quantiser_both_have(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for step in (4, 6, 8):
        lab.cell("rans", 540, recipe=f"plain+quantize:step=2^-{step}")
        if step > 4:
            lab.cell("rans", 290, recipe=f"backslash:lam=1+quantize:step=2^-{step}")
    code, said = outcome("compare", "plain", "backslash:lam=1", "--out", tmp_path)
    assert code == 0
    assert "2 matched cells · only in the first: 1" in said
    assert "-50.00 %" in said


@pytest.mark.parametrize("wrong", ["bits>0", "decode<-10", "bytes=0", "metric<-1%"])
def test_conditions_are_explained(wrong: str, tmp_path: Path) -> None:
    code, said = outcome("compare", "a", "b", "--out", tmp_path, "--fail-on", wrong)
    assert code == 2
    assert "--fail-on" in said


def test_an_unknown_side_names_what_there_is(tmp_path: Path) -> None:
    Lab(tmp_path).cell("rans", 540)
    code, said = outcome("compare", "plain", "planar", "--out", tmp_path)
    assert code == 2
    assert "plain+quantize:step=2^-8" in said
