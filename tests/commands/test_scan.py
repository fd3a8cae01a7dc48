"""`bench scan` over checkpoints made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file


def scan(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slashbench.bench.cli", "scan", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "160"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sharded checkpoint of many dtypes."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(400, 300, generator=generator)
    shards = {
        "a": {"wide": wide, "bias": wide[0].clone(), "half": wide.half(), "bf16": wide.bfloat16()},
        "b": {"fp8": wide.to(torch.float8_e4m3fn), "mask": wide > 1, "int8": (9 * wide).char(),
              "ids": torch.arange(9), "none": torch.zeros(0, 3), "scalar": torch.tensor(1.5)},
    }  # fmt: skip
    for name, tensors in shards.items():
        save_file(tensors, tmp_path / f"model-{name}.safetensors")
    return tmp_path


def test_each_dtype_is_tried_with_what_takes_it(folder: Path) -> None:
    done = scan(".", "--codecs", "huffman,float-huffman,zstd", "--repeats=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    for title in ("float32", "float16", "bfloat16", "uint8", "int8"):
        assert f"\n{title}\n" in done.stdout
    assert "ids: no codec takes int64 by itself" in done.stdout
    assert done.stdout.count("float-huffman") == 3
    assert "●" in done.stdout


def test_a_part_of_every_tensor_is_enough(folder: Path) -> None:
    whole = (folder / "model-a.safetensors").stat().st_size
    done = scan("model-a.safetensors", "--codecs=rans", "--quantize=quantize:step=0.5:unit=std",
                "--sample=0.3", "--repeats=1", cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    part, _, of = done.stdout.splitlines()[0].split()[:3]
    assert 0.2 < float(part) < 0.4
    assert float(of) == round(whole / 1e6, 1)
    assert "quantize:step=0.5:unit=std" in done.stdout


def test_wrong_use_and_damage(folder: Path) -> None:
    (folder / "broken.safetensors").write_bytes(b"\xff" * 100)
    for arguments, code, said in [
        (["nowhere.safetensors"], 2, "no safetensors file"),
        (["model-a.safetensors", "--quantize=nothing"], 2, "no quantiser 'nothing'"),
        (["model-a.safetensors", "--codecs=nothing"], 2, "no codec 'nothing'"),
        (["broken.safetensors"], 1, "no safetensors file, or damaged"),
    ]:
        done = scan(*arguments, cwd=folder)
        assert done.returncode == code
        assert said in done.stderr
