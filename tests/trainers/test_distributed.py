"""Two processes (gloo): DDP and FSDP2 take the very steps of one, and end with the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from slashbench.trainers.catalog import REGIMES
from tests.helpers.ports import free_port

pytestmark = pytest.mark.thorough  # two processes that import torch


def said_by_two(script: str, *arguments: str) -> list[str]:
    """Run a script beside this file in two processes, as torchrun does, and return their output."""
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ranks = [
        subprocess.Popen(command, env=os.environ | group | {"RANK": i, "LOCAL_RANK": i}, **pipes)
        for i in "01"
    ]
    said = [rank.communicate(timeout=240) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return [output for output, _ in said]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    said_by_two("two_processes.py", str(folder))
    return folder


def test_every_regime_ends_with_the_same_weights_in_both() -> None:
    for output in said_by_two("alike_processes.py"):
        assert output.split("\n") == [*REGIMES.names(), ""]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize("kind", ["gradient", "proximal", "per-tensor", "in the loop", "by row"])
def test_two_processes_take_the_steps_of_one(kind: str, how: str, weights: Path) -> None:
    found = torch.load(weights / f"{kind}.pt", weights_only=True)
    assert found[how].keys() == found["alone"].keys()
    for name, alone in found["alone"].items():
        assert found[how][name].numpy() == pytest.approx(alone.numpy(), abs=1e-10)
