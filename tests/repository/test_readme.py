"""What README says is true: its commands, and a codec added by a package of one's own."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from tests.helpers.command import bench, bench_process

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_second_command() -> None:
    _, second, *_ = blocks("bash")
    assert second.strip() in (ROOT / ".ci" / "run").read_text()


def test_every_run_command_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(checkpoints / "llama")
    Path("corpus.txt").symlink_to(checkpoints / "corpus.txt")
    Path("other.txt").symlink_to(checkpoints / "calibration.txt")
    Path("my_module.py").write_text("def losses(module, split): return 1.0\n", encoding="utf-8")
    torch.save({"w": torch.ones(9, 9)}, "weights.pt")
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    planned = 0
    for command in commands:
        if " run " in command:
            words = command.partition("bench run ")[2].split()
            options = dict(zip(words[::2], words[1::2], strict=True))
            for where in ("--out", "--scheduler"):
                options.pop(where, None)
            if "--eval" in options:
                options["--evaluation"] = options.pop("--eval")
            plan = matrix.plan(Request(**{k.lstrip("-"): v for k, v in options.items()}))
            assert plan.cells, command
            planned += 1
    assert planned == 10


def test_a_checkpoint_compressed_as_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands on a file and a folder, then its Python on a module."""
    (commands,) = [block for block in blocks("bash") if "bench compress" in block]
    (lines,) = blocks("pycon")
    monkeypatch.chdir(tmp_path)
    module = nn.Sequential(OrderedDict(embedding=nn.Embedding(300, 64)))
    Path("model").mkdir()
    for path in ("model.safetensors", "model/model.safetensors", "new.safetensors"):
        save_file(module.state_dict(), path)
    save_file({name: tensor + 2**-12 for name, tensor in module.state_dict().items()},
              "old.safetensors")  # fmt: skip
    original = Path("model.safetensors").read_bytes()
    for command in commands.splitlines():
        force = ["--force"] if "decompress" in command else []
        words = [*command.split()[1:], *force]
        done = bench(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert Path("model.safetensors").read_bytes() == original
    names: dict[str, Any] = {"model": module}
    exec(lines.replace(">>> ", ""), names)
    assert torch.equal(names["rows"], module.embedding.weight[100:200])


@pytest.mark.thorough
def test_a_codec_of_ones_own(tmp_path: Path) -> None:
    """README's two blocks as an installed package: listed, tested, run, and on the board."""
    (python,) = [block for block in blocks("python") if "SymbolCodec" in block]
    (toml,) = blocks("toml")
    (tmp_path / "my_codec.py").write_text(python)
    info = tmp_path / "my_codec-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-codec\nVersion: 1.0\n")
    point = re.sub(r'[#\[].*|"', "", toml).strip().replace(" = ", "=")
    (info / "entry_points.txt").write_text(f"[slashbench.codecs]\n{point}\n")

    def mine(*arguments: str) -> str:
        path = os.pathsep.join([str(tmp_path), *sys.path])
        done = bench_process(*arguments, cwd=tmp_path, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Little-endian int32" in mine("list", "codecs")
    assert mine("test-codec", "bytes,my_codec:Bytes").count(" 0 failed") == 2
    mine(
        "run",
        "--models=digits-mlp:steps=5",
        "--recipes=plain",
        "--codecs=bytes,huffman",
        "--seeds=0",
    )
    cells = (tmp_path / "results" / "local" / "leaderboard.csv").read_text(encoding="utf-8")
    assert {row["codec"]: row["status"] for row in csv.DictReader(cells.splitlines())} == {
        "bytes": "ok",
        "huffman": "ok",
    }


def test_backslash_in_a_loop_of_ones_own() -> None:
    """README's lines, in a loop that has what they name."""
    (python,) = [block for block in blocks("python") if "BackSlashCallback" in block]
    lines = python.split("trainer = ")[0].replace("...\n", "loss().backward()\n")
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    names: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "loss": lambda: model(torch.ones(3, 4)).square().mean(),
    }
    exec(lines.replace("lam=1000.0", "lam=0.01"), names)
    assert names["backslash"].steps == 1


def test_a_run_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (python,) = [block for block in blocks("python") if "slashbench.run" in block]
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
