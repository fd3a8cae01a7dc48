"""BackSlash over two processes (gloo): DDP and FSDP2 take the very steps of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.object_store import free_port

pytestmark = pytest.mark.thorough  # two processes that import torch

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    ranks = [  # as torchrun starts them
        subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], stderr=subprocess.PIPE,
                         text=True, env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]  # fmt: skip
    said = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return folder


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize("kind", ["gradient", "proximal", "per-tensor", "in the loop", "by row"])
def test_two_processes_take_the_steps_of_one(kind: str, how: str, weights: Path) -> None:
    found = torch.load(weights / f"{kind}.pt", weights_only=True)
    assert found[how].keys() == found["alone"].keys()
    for name, alone in found["alone"].items():
        assert found[how][name].numpy() == pytest.approx(alone.numpy(), abs=1e-10)
