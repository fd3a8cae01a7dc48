"""BackSlash over two processes (gloo): DDP and FSDP2 take the very steps of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", str(SCRIPT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize("kind", ["gradient", "proximal", "per-tensor", "in the loop", "by row"])
def test_two_processes_take_the_steps_of_one(kind: str, how: str, weights: Path) -> None:
    found = torch.load(weights / f"{kind}.pt", weights_only=True)
    assert found[how].keys() == found["alone"].keys()
    for name, alone in found["alone"].items():
        assert found[how][name].numpy() == pytest.approx(alone.numpy(), abs=1e-10)
