"""What the pages say about the command is true: every line is parsed, and every plan is made."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from slashbench.bench import cli
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from tests.helpers.pages import PAGES, ROOT, bench_commands

TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
COMMANDS = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)}")
    for page in TEXTS
    for words in bench_commands(page, "bash", "console")
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_one(words: list[str]) -> None:
    assert cli.parser().parse_args(words)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: Path) -> None:
    """A folder with the files that pages name."""
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(checkpoints / "llama")
    Path("corpus.txt").symlink_to(checkpoints / "corpus.txt")
    Path("other.txt").symlink_to(checkpoints / "calibration.txt")
    Path("my_module.py").write_text("def losses(module, split): return 1.0\n", encoding="utf-8")
    torch.save({"w": torch.ones(9, 9)}, "weights.pt")


@pytest.mark.usefixtures("place")
def test_every_run_can_be_planned() -> None:
    planned = 0
    for words in (words for page in TEXTS for words in bench_commands(page, "bash")):
        if words[0] != "run":
            continue
        asked = cli.parser().parse_args(words)
        if asked.suite != "core" and asked.models is None:
            continue  # a suite is not planned where its models have to be fetched
        request = Request(
            asked.suite, asked.models, asked.recipes, asked.codecs, asked.seeds,
            evaluation=asked.eval, calibration=asked.calibration,
        )  # fmt: skip
        assert _plugged(asked) or matrix.plan(request).cells, words
        planned += 1
    assert planned > 15


def _plugged(asked: argparse.Namespace) -> bool:
    """Whether a command names what a tutorial adds: following the tutorial plans it."""
    return any(name in f"{asked.codecs},{asked.recipes}" for name in ("laplace", "log-penalty"))
