"""Tutorials that run the benchmark do what they say, block by block, in a folder of their own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.helpers.pages import ROOT, Reader

TUTORIALS = ROOT / "docs" / "tutorials"


def cells(folder: Path) -> list[dict[str, str]]:
    """Return the cells of the reader's board."""
    text = (folder / "results" / "local" / "leaderboard.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.thorough
def test_a_codec_of_ones_own(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(TUTORIALS / "add-a-codec.md")
    _, listed, tested, _, board, _ = reader.said
    assert "Code integers with a range coder under one Laplace distribution a tensor." in listed
    assert " 0 failed, 0 skipped" in tested
    assert "laplace" in board
    codecs = ["huffman", "laplace", "laplace:widen=0.8", "laplace:widen=1.25", "rans", "zstd"]
    assert sorted((c["codec"], c["status"]) for c in cells(tmp_path)) == [
        (codec, "ok") for codec in codecs
    ]


@pytest.mark.thorough
def test_a_regime_of_ones_own(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(TUTORIALS / "add-a-regime.md")
    assert "log-penalty" in reader.said[1]
    assert "best: log-penalty:lam=" in reader.said[2]
    found = {c["recipe"]: c["status"] for c in cells(tmp_path)}
    assert found == {
        f"{regime}+quantize:step=2^-5": "ok"
        for regime in ("plain", "log-penalty:lam=0.1", "log-penalty:lam=0.3")
    }


@pytest.mark.thorough
def test_training_against_after_training(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(TUTORIALS / "training-or-after.md")
    assert {c["status"] for c in cells(tmp_path)} == {"ok"}
    board = next(said for said in reader.said if "Within each model's tolerance" in said)
    assert "At equal compute" in board


@pytest.mark.thorough
def test_a_board(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    reader = Reader(tmp_path)
    reader.follow(TUTORIALS / "read-a-board.md")
    screen, *_, origin = reader.said
    assert "Codecs on the integers" in screen
    assert "machine: " in origin


@pytest.mark.slow
def test_a_cluster(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(TUTORIALS / "cluster.md")
    assert "2 of 2 cells are good" in reader.said[0]
    assert "127.0.0.1" in reader.said[1]


@pytest.mark.thorough
def test_a_gate(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(ROOT / "docs" / "how-to" / "gate-a-pipeline.md")
    assert "1 matched cells" in reader.said[2]
