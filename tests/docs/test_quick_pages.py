"""Pages that take a second or two each do what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import nn

from tests.helpers.pages import ROOT, Reader

DOCS = ROOT / "docs"


def test_the_first_five_minutes(tmp_path: Path) -> None:
    """Beside the run of a suite, which tox does: its boards are here those of another one."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "local").symlink_to(ROOT / "results" / "minilm-1500")
    reader = Reader(tmp_path, without=("bench run --suite smoke",))
    reader.follow(DOCS / "start.md")
    module = reader.names["module"]
    assert torch.equal(reader.names["weights"]["0.weight"], module[0].weight)


def test_a_checkpoint_of_ones_own(tmp_path: Path) -> None:
    Reader(tmp_path).follow(DOCS / "tutorials" / "compress-a-checkpoint.md")
    sizes = {path.stem: path.stat().st_size for path in tmp_path.glob("*.safetensors")}
    assert sizes["four"] < sizes["small"] < sizes["model"]
    assert sizes["four"] < sizes["model"] * 4.01 / 32 + 2000


def test_a_delta(tmp_path: Path) -> None:
    Reader(tmp_path).follow(DOCS / "tutorials" / "keep-a-delta.md")
    sizes = {path.stem: path.stat().st_size for path in tmp_path.glob("*.safetensors")}
    assert sizes["delta"] < sizes["whole"] / 3


def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    model = nn.Linear(64, 64)
    reader = Reader(tmp_path, without=("BackSlashCallback", "bench speed"))
    reader.names |= {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "batches": [torch.ones(3, 64)] * 2,
        "loss": lambda module, batch: module(batch).square().mean(),
    }
    reader.follow(DOCS / "how-to" / "your-own-loop.md")
    assert reader.names["backslash"].steps == 2


def test_results_published_and_merged(tmp_path: Path) -> None:
    for node, name in (("node1", "minilm-1500"), ("node2", "training-time")):
        shutil.copytree(ROOT / "results" / name, tmp_path / node / "results")
    reader = Reader(tmp_path, without=("bench reproduce", "slashbench.results"))
    reader.follow(DOCS / "how-to" / "publish-and-merge.md")
    published = {path.name for path in (tmp_path / "results" / "mine").iterdir()}
    assert published == {"records.jsonl.zst", "README.md"}
