"""Pages that take a second or two each do what they say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numcodecs
import pytest
import torch
from torch import nn

import slashbench
from tests.helpers.command import bench
from tests.helpers.pages import ROOT, Reader, blocks

DOCS = ROOT / "docs"


@pytest.mark.thorough
def test_the_first_five_minutes(tmp_path: Path) -> None:
    """Beside the run of a suite, which tox does: its boards are here those of another one."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "local").symlink_to(ROOT / "results" / "smoke")
    reader = Reader(tmp_path, without=("bench run --suite smoke",))
    reader.follow(DOCS / "start.md")
    module = reader.names["module"]
    assert torch.equal(reader.names["weights"]["0.weight"], module[0].weight)


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_results_published_and_merged(tmp_path: Path) -> None:
    for node, name in (("node1", "smoke"), ("node2", "training-time")):
        shutil.copytree(ROOT / "results" / name, tmp_path / node / "results")
    reader = Reader(tmp_path, without=("bench reproduce", "slashbench.results"))
    reader.follow(DOCS / "how-to" / "publish-and-merge.md")
    published = {path.name for path in (tmp_path / "results" / "mine").iterdir()}
    assert published == {"records.jsonl.zst", "README.md"}


def test_a_run_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "reference" / "python.md"
    (python,) = [block.text for block in blocks(page) if block.language == "python"]
    short = python.replace('"digits-mlp"', '"digits-mlp:steps=5"')
    short = short.replace('["huffman", "rans"]', '["entropy"]')
    assert short != python
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "core").symlink_to(ROOT / "results" / "core")
    names: dict[str, Any] = {}
    exec(short, names)
    assert names["cells"]["status"].to_pylist() == ["ok"]
    assert names["published"].num_rows > 100


@pytest.mark.thorough
def test_a_compressed_folder_loaded(tmp_path: Path, checkpoints: Path) -> None:
    shutil.copytree(checkpoints / "llama", tmp_path / "model")
    reader = Reader(tmp_path, without=("embedding.weight", "model.load_weights"))
    assert bench("compress", "model/", "-o", "small/", cwd=tmp_path).returncode == 0
    module = nn.Linear(30, 30)
    slashbench.save_file(module.state_dict(), tmp_path / "small.safetensors")
    reader.names["module"] = module
    reader.follow(DOCS / "how-to" / "load-compressed.md")
    assert torch.equal(reader.names["weights"]["weight"], module.weight)
    assert reader.names["model"].config.model_type == "llama"
    assert isinstance(reader.names["codec"], numcodecs.abc.Codec)


@pytest.mark.thorough
def test_the_picture_of_readme_shows_its_records(tmp_path: Path) -> None:
    committed = next((DOCS / "pictures").iterdir())
    assert f"docs/pictures/{committed.name}" in (ROOT / "README.md").read_text(encoding="utf-8")
    done = bench("report", "--out", ROOT / "results" / "core-v1", "--svg", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = f"bench report --out results/core-v1 --svg FOLDER, and {committed.name} of it"
    assert (tmp_path / committed.name).read_bytes() == committed.read_bytes(), again
