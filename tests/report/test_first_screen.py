"""The first screen: it fits, nothing is cut, and its sentences are true, whatever was run."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest

from slashbench.bench.report.analysis.findings import findings
from slashbench.bench.report.analysis.short_names import short_names
from slashbench.bench.report.output import export
from slashbench.bench.report.output.fitted_screen import LINES, WIDTH, fitted
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table
from tests.helpers.command import process_of
from tests.helpers.report_lab import Lab

RESULTS = Path(__file__).parents[2] / "results"
OURS, THEIRS = "backslash:lam=1+quantize:step=2^-5", "plain+quantize:step=2^-5"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def in_a_terminal(*arguments: str, lines: int = 40, columns: int = 100) -> list[str]:
    """Run the command in a pseudo-terminal of that size; the lines it shows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = process_of(*arguments, stdin=slave, stdout=slave, stderr=slave,
                         env=environment | {"TERM": "xterm"})  # fmt: skip
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(master)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r", "").splitlines()


def campaign(lab: Lab, models: int, codecs: int, recipes: int) -> None:
    for m in range(models):
        for c in range(codecs):
            for r in range(recipes):
                for regime, factor in (
                    ("plain", 1.0),
                    (f"backslash:lam={r + 1}:update=gradient", 0.8),
                ):
                    lab.cell(
                        f"codec-with-a-long-name-{c}",
                        40 + factor * (500 + 10 * c - 30 * r + m),
                        recipe=f"{regime}+quantize:step=2^-{r + 3}",
                        model=f"model-with-a-long-name-{m}",
                    )


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 6, 2), (12, 12, 1)])
def test_it_fits_a_terminal(lab: Lab, size: tuple[int, int, int]) -> None:
    campaign(lab, *size)
    shown = in_a_terminal("report", "--out", str(lab.folder))
    assert len(shown) <= LINES
    assert max(map(len, shown)) <= WIDTH
    assert not any("…" in line for line in shown)


@pytest.mark.parametrize("name", ["core", "training-time", "backslash"])
def test_published_results_fit_too(name: str) -> None:
    shown = in_a_terminal("report", "--out", str(RESULTS / name))
    assert len(shown) <= LINES
    assert max(map(len, shown)) <= WIDTH
    assert "Smallest file of each side at equal quality" in "\n".join(shown)


def test_nothing_of_a_name_is_cut(lab: Lab) -> None:
    recipe = "backslash:lam=1:update=gradient:scope=all+prune:sparsity=0.5+gptq:step=2^-5"
    long = "a-model-with-settings:steps=1500:width=2048"
    for model, chosen in ((long, recipe), ("b", recipe.replace("all", "matrices"))):
        lab.cell("rans", 500, recipe=chosen, model=model)
        lab.cell("zstd", 3000, recipe="plain+native", model=model)
    shown = lab.first_screen(100)
    assert max(map(len, shown.splitlines())) <= 100
    words = "BackSlash pruning 0.5 GPTQ 2^-5 steps=1500 width=2048"
    assert all(word in shown for word in words.split())


def tables(screen: Section) -> list[Table]:
    return [part for part in screen.parts if isinstance(part, Table)]


def test_what_does_not_fit_is_counted(lab: Lab) -> None:
    campaign(lab, 12, 12, 1)
    sides, codecs, *_ = tables(fitted(lab.results()))
    shown = {row[0] for row in sides.rows if row[0].startswith("model")}
    assert f"{len(shown)} of 12 models: --boards equal-accuracy" in sides.title
    assert f"{len(codecs.rows)} of 12 codecs: --boards codecs" in codecs.title


def test_the_fastest_decoder_is_on_it(lab: Lab) -> None:
    for c in range(12):
        lab.cell(f"c{c:02}", 500 + c, decode_ns=9_000_000 if c < 11 else 1_000_000)
    _, codecs = tables(fitted(lab.results()))
    assert codecs.rows[-1][0] == "c11"


class TestSides:
    def test_both_sides_and_the_difference(self, lab: Lab) -> None:
        for model, ours in (("m", 440), ("n", 540), ("o", 490)):
            lab.cell("a", 640, recipe=THEIRS, model=model)
            lab.cell("a", ours, recipe=OURS, model=model)
        (sides, _) = tables(fitted(lab.results()))
        assert [row[:3] for row in sides.rows[:2]] == [
            ("m", "post", "rounding, 2^-5"),
            ("", "training", "BackSlash + rounding, 2^-5"),
        ]
        assert sides.rows[1][5] == "+33.3 %"
        assert sides.rows[-1][:3] == ("3 models", "", "geometric mean")
        assert "a new model:" in sides.rows[-1][5]

    def test_a_loss_that_a_new_model_would_share_is_said(self, lab: Lab) -> None:
        for model, ours in (("m", 840), ("n", 841), ("o", 842)):
            lab.cell("a", 640, recipe=THEIRS, model=model)
            lab.cell("a", ours, recipe=OURS, model=model)
        (sides, _) = tables(fitted(lab.results()))
        assert sides.rows[-1][5] == "-33.5 %; a new model: -34 to -33"

    def test_two_models_predict_no_third(self, lab: Lab) -> None:
        for model in "mn":
            lab.cell("a", 640, recipe=THEIRS, model=model)
            lab.cell("a", 440, recipe=OURS, model=model)
        (sides, _) = tables(fitted(lab.results()))
        assert sides.rows[-1][5] == "+33.3 %"

    @pytest.mark.parametrize(
        ("recipe", "said"),
        [(THEIRS, "training: none was run"), (OURS, "post: none was run")],
    )
    def test_a_missing_side_is_named(self, lab: Lab, recipe: str, said: str) -> None:
        lab.cell("a", 640, recipe="plain+native")  # with which comes the float model
        lab.cell("a", 440, recipe=recipe)
        sides = tables(fitted(lab.results()))[0]
        assert len(sides.rows) == 1
        assert sides.rows[0][5] == said


class TestFindings:
    def test_one_of_everything(self, lab: Lab) -> None:
        lab.cell("rans", 290, recipe=THEIRS)
        assert findings(lab.results()) == [
            "Within its tolerance a parameter of m takes 2.00 bits.",
            "`rans` is the only codec of integers that is ranked.",
        ]

    def test_only_failures(self, lab: Lab) -> None:
        lab.cell("rans", 0, failed="compress: boom")
        lab.cell("zstd", 0, failed="compress: boom")
        assert findings(lab.results()) == [
            "2 of 2 cells failed, on m (board `coverage`); the first: compress: boom"
        ]
        assert "0 of 2 cells are good" in lab.first_screen()

    def test_failures_are_always_said(self, lab: Lab) -> None:
        campaign(lab, 3, 3, 2)
        lab.cell("rans", 0, failed="compress: boom")
        for most in (3, 6):
            said = findings(lab.results(), most)
            assert len(said) <= most
            assert "1 of 37 cells failed" in said[-1]

    def test_nothing_keeps_the_quality(self, lab: Lab) -> None:
        good, bad = [100.0] * 100, [0.0] * 100
        for recipe in (OURS, THEIRS):
            lab.cell("rans", 300, recipe=recipe, items=bad, float_items=good)
        assert findings(lab.results())[0] == (
            "No model has both a training-time and a post-training file within its tolerance."
        )

    @pytest.mark.parametrize(
        ("ours", "said"),
        [
            ((440, 450, 445), "takes fewer bits than after it on m (33 %)"),
            ((840, 850, 845), "takes no fewer, but more on m (34 %)"),
            ((540, 740, 650), "shows no clear difference on m"),
            ((440,), "takes fewer bits than after it on m (33 %, one seed)"),
        ],
    )
    def test_training_against_after(self, lab: Lab, ours: tuple[int, ...], said: str) -> None:
        for seed, size in enumerate(ours):
            lab.cell("a", 640 + seed, recipe=THEIRS, seed=seed)
            lab.cell("a", size, recipe=OURS, seed=seed)
        assert findings(lab.results())[0] == f"At equal quality, compression while training {said}."

    def test_the_first_codec_against_the_second(self, lab: Lab) -> None:
        for step in (3, 4, 5):
            for codec, size in (("rans", 540), ("huffman", 590), ("pack", 900)):
                lab.cell(codec, size, recipe=f"plain+quantize:step=2^-{step}",
                         decode_ns=1_000_000 if codec == "pack" else 3_000_000)  # fmt: skip
        said = findings(lab.results())
        assert (
            "`rans` makes the smallest files of integers: smallest in 3 of 3 cells, smaller than "
            "`huffman` in 3 of 3, by 9.1 % on average."
        ) in said
        assert (
            "`pack` decodes fastest: 3 times as fast as the smallest, `rans`, from files that are "
            "72 % larger."
        ) in said

    def test_ties_are_ties(self, lab: Lab) -> None:
        for codec in ("a", "b"):
            lab.cell(codec, 540)
        said = findings(lab.results())
        assert "`a` and `b` make the smallest files of integers, all of one size." in said
        assert not any("decodes fastest:" in text for text in said)

    def test_lossless_codecs_have_their_own(self, lab: Lab) -> None:
        lab.cell("zstd", 3040, recipe="plain+native")
        lab.cell("lz4", 3640, recipe="plain+native")
        assert (
            "`zstd` makes the smallest files of native floats, 75 % of the native bytes: smallest "
            "in 1 of 1 cells, smaller than `lz4` in 1 of 1, by 17 % on average."
        ) in findings(lab.results())


def test_markdown_begins_with_it_and_names_recipes(lab: Lab) -> None:
    lab.cell("a", 640, recipe=THEIRS)
    lab.cell("a", 440, recipe=OURS)
    text = export.to_markdown(lab.results())
    first, _, rest = text.partition("## Names of recipes")
    assert len(first.splitlines()) <= LINES
    assert "| BackSlash + rounding, 2^-5 | backslash:lam=1+quantize:step=2^-5 | m" in rest


def test_a_name_says_how_a_recipe_was_executed(lab: Lab) -> None:
    for execution in ("", "bf16"):
        lab.cell("a", 640, recipe=THEIRS, execution=execution)
    assert "| rounding, 2^-5 (bf16) |" in export.to_markdown(lab.results(), ["names"])


def test_names_mean_one_recipe_each() -> None:
    recipes = [
        "plain+quantize:step=2^-4",
        "plain:longer=2+quantize:step=2^-4",
        "backslash:lam=20+rtn:bits=4:granularity=channel",
        "backslash:lam=20+rtn:bits=4:granularity=tensor",
        "backslash:lam=200+rtn:bits=4:granularity=tensor",
        "made-up:x=1:y=1+native",
        "made-up:x=2:y=2+native",
    ]
    chains = ["plain+backslash-q:lam=1+ongrid", "backslash-q:lam=1+ongrid"]
    assert list(short_names(chains).values()) == [
        "plain + BackSlash-Q + ongrid",
        "BackSlash-Q + ongrid",
    ]
    assert list(short_names(recipes).values()) == [
        "rounding, 2^-4",
        "plain longer=2 + rounding, 2^-4",
        "BackSlash λ=20 + RTN per channel, 4 bits",
        "BackSlash λ=20 + RTN per tensor, 4 bits",
        "BackSlash λ=200 + RTN per tensor, 4 bits",
        "made-up x=1 + native floats",
        "made-up x=2 + native floats",
    ]
