"""`bench run --processes 2`: torchrun's processes take the steps of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from slashbench.bench.checkpoint import state_dict
from slashbench.bench.store.store import Store
from slashbench.record import CheckpointRecord
from tests.helpers.engine_lab import environment, run

DOUBLE = "--models=trouble:double=true:steps=25"
RECIPES = "--recipes=plain,backslash:lam=20:update=proximal"
ONE = ["--codecs=pack", "--seeds=0", "--jobs=0"]


def trained(out: Path) -> dict[str, dict[str, torch.Tensor]]:
    """recipe without its execution -> weights."""
    store = Store(out)
    found = {}
    for record in store.all(CheckpointRecord):
        path = store.find_artifact(record.artifact_sha256)
        assert path is not None, record.reason
        found[record.recipe.partition(" (")[0]] = state_dict.load(path)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_two_processes_train_what_one_does(sharding: str, tmp_path: Path) -> None:
    code, output = run(DOUBLE, RECIPES, *ONE, f"--out={tmp_path / 'one'}")
    assert code == 0, output
    two = ["--processes=2", f"--sharding={sharding}", f"--out={tmp_path / 'two'}"]
    code, output = run(DOUBLE, RECIPES, *ONE, *two)
    assert code == 0, output
    assert "(2 processes" in output
    alone, together = trained(tmp_path / "one"), trained(tmp_path / "two")
    assert len(alone) == len(together) == 2
    for recipe, expected in alone.items():
        assert together[recipe].keys() == expected.keys()
        for name, tensor in expected.items():
            assert together[recipe][name].numpy() == pytest.approx(tensor.numpy(), abs=1e-6)
    assert not list((tmp_path / "two").rglob("training/*"))


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_a_killed_training_of_two_goes_on_from_its_snapshots(sharding: str, tmp_path: Path) -> None:
    """Each process keeps its part at every step; killed in the middle, they end with the weights
    of two that were never stopped.
    """
    script = Path(__file__).with_name("two_ranks.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node=2", str(script)]

    def started(folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, str(folder), sharding], stdout=subprocess.PIPE, text=True, env=environment()
        )

    quiet = started(tmp_path / "quiet").communicate(timeout=200)[0]
    killed = started(tmp_path / "killed")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("step 20 "):
            break
    os.kill(killed.pid, signal.SIGTERM)  # torchrun ends its processes, wherever they are
    killed.wait(60)
    again = started(tmp_path / "killed").communicate(timeout=200)[0]
    assert "step 1 " in quiet
    assert "step 1 " not in again
    assert quiet.splitlines()[-1].startswith("weights ")
    assert again.splitlines()[-1] == quiet.splitlines()[-1]


def test_what_can_not_be_sharded_is_left_out_with_the_reason(tmp_path: Path) -> None:
    code, output = run(
        "--models=digits-mlp:steps=5", "--recipes=plain,gradual-prune", *ONE, "--processes=2",
        "--sharding=fsdp2", "--dry-run", f"--out={tmp_path}",
    )  # fmt: skip
    assert code == 0, output
    assert "must see whole parameters" in output
    assert "1 cells" in output
