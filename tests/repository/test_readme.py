"""What README says is true. `tests/docs` has its commands, as those of every other page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.helpers.command import bench
from tests.helpers.pages import ROOT, blocks, commands

README = ROOT / "README.md"


def only(language: str, part: str) -> str:
    """Return the text of the one block that has this part."""
    (text,) = [b.text for b in blocks(README) if b.language == language and part in b.text]
    return text


def test_the_first_two_commands_are_the_main_job_and_the_tests() -> None:
    first, second, *_ = [block.text.strip() for block in blocks(README)]
    assert first.endswith("bench run --models all --codecs all")
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_it_can_be_read_in_minutes_and_links_to_what_there_is() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") <= 130
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_checkpoint_is_compressed_as_it_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(nn.Linear(100, 100).state_dict(), tmp_path / "model.safetensors")
    for command in commands(only("bash", "bench compress")):
        done = bench(*command.split()[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["smaller"] < sizes["small"] < sizes["model"]


def test_backslash_in_a_loop_of_ones_own() -> None:
    """Its lines, in a loop that has what they name."""
    lines = only("python", "BackSlash").replace("...\n", "loss().backward()\n")
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    names: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "loss": lambda: model(torch.ones(3, 4)).square().mean(),
    }
    exec(lines.replace("lam=1000.0", "lam=0.01"), names)
    assert names["backslash"].steps == 1
