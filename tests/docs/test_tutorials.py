"""Tutorials do what they say: each is followed block by block, in a folder of its own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.helpers.pages import ROOT, Reader

TUTORIALS = ROOT / "docs" / "tutorials"

pytestmark = pytest.mark.thorough


def cells(folder: Path) -> list[dict[str, str]]:
    """Return the cells of the reader's board."""
    text = (folder / "results" / "local" / "leaderboard.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


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
