"""The script for a machine with a GPU: what of it can run without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu import checks


def test_the_plan_lists_every_kind_of_case(capsys):
    assert checks.main(["--plan"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {name.split()[0] for name in plan["cases"]} == {"exact", "decode", "train", "nccl"}
    assert plan["limit_s"] < 480


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    assert checks.main([]) == 2
    assert "torch finds no CUDA device" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_cpu_in_the_gpus_place(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OUT", str(tmp_path))
    assert checks.main(["--device", "cpu", "--only", "train dropout"]) == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report == json.loads(capsys.readouterr().out)
    assert report["cases"]["train dropout"]["ms a step"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "nccl"])
def test_the_other_cases_too(kind, capsys):
    assert checks.main(["--device", "cpu", "--only", kind]) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_the_speed_cases_in_the_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.checks", "--device", "cpu", "--only", "decode"],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["cases"]
    assert len(rows) > 20
    assert all(row["kernels"] > 0 for row in rows.values())
