"""`bench run --processes 2`: torchrun's processes take the steps of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine_lab import run

from slashbench.bench import weights
from slashbench.bench.store import Store
from slashbench.record import CheckpointRecord

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
        found[record.recipe.partition(" (")[0]] = weights.load(path)
    return found


@pytest.mark.parametrize("sharding", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
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
def test_a_killed_training_of_two_goes_on_from_its_snapshots(tmp_path: Path) -> None:
    """Every step is kept here; the second run must not see the first steps again."""
    what = [
        "--models=trouble:steps=60:pause=0.1", "--recipes=plain", *ONE, "--processes=2",
        f"--out={tmp_path}",
    ]  # fmt: skip
    # TODO
