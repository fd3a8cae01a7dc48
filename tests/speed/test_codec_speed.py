"""`bench speed` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from slashbench.bench.speed import delta_training
from slashbench.bench.speed.recording import speeds_to_markdown
from slashbench.record import decode_speeds
from tests.helpers.command import bench


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What is printed and what is written."""
    folder = tmp_path_factory.mktemp("speed")
    done = bench(
        "speed",
        "--codecs=huffman,pack,entropy,float-huffman",
        "--data=1.5bits,fp16",
        *["--repeats=2", "--threads=1,2", "--against=pack", "--json=speed.json", "--md=speed.md"],
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    board = (folder / "speed.md").read_text()
    assert board == speeds_to_markdown(decode_speeds((folder / "speed.json").read_bytes()))
    assert "| huffman" in board
    return done.stdout, json.loads((folder / "speed.json").read_text())


def test_a_board_for_each_sample_and_number_of_threads(measured: tuple[str, Any]) -> None:
    printed, _ = measured
    for title in ("1.5bits · 1 thread", "1.5bits · 2 threads", "fp16 · 1 thread"):
        assert title in printed
    assert printed.count("enc x pack") == 2  # what takes no floats is on no board of floats
    assert printed.count("dec x 1 thread") == 2


def test_what_is_written_says_what_was_timed(measured: tuple[str, Any]) -> None:
    _, written = measured
    assert written["provenance"]["cpu_model"]
    found = {(s["data"], s["codec"], s["threads"]): s for s in written["speeds"]}
    assert set(found) == {
        (data, codec, threads)
        for data, codecs in {
            "1.5bits": ("memcpy", "huffman", "pack"),
            "fp16": ("memcpy", "float-huffman"),
        }.items()
        for codec in codecs
        for threads in (1, 2)
    }
    huffman = found["1.5bits", "huffman", 1]
    assert huffman["n_values"] == huffman["native_bytes"] == 10_764_288
    assert huffman["bound_bits"] / huffman["n_values"] == pytest.approx(1.5, abs=0.003)
    assert huffman["bound_bits"] < 8 * huffman["stream_bytes"] < 1.2 * huffman["bound_bits"]
    assert found["fp16", "memcpy", 1]["stream_bytes"] == 2 * 10_764_288
    for speed in found.values():
        assert len(speed["encode"]["wall_ns"]) == len(speed["decode"]["wall_ns"]) == 2
        assert min(speed["encode"]["wall_ns"] + speed["decode"]["wall_ns"]) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--codecs nothing", "no codec 'nothing'"),
        ("--data 9bits", "no data '9bits'"),
        ("--threads few", "threads 'few'"),
        ("--repeats 0", "at least 1"),
        ("--codecs huffman --data bf16", "none of the codecs takes bf16"),
        ("--data delta:nothing", "no data 'delta:nothing'"),
    ],
)
def test_wrong_use(arguments: str, said: str, tmp_path: Path) -> None:
    done = bench("speed", *arguments.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    for step in (400, 401):
        path = delta_training.kept_at("kjv-gpt", step, tmp_path / delta_training.CACHE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{")
    done = bench("speed", "--data=delta:steps1-bf16", "--threads=1", cwd=tmp_path)
    assert done.returncode == 1
    assert "weights-401.safetensors is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_checkpoints_given_others(tmp_path: Path) -> None:
    """On checkpoints that lie where those of the training would."""
    torch.manual_seed(0)
    weights = {"w": torch.randn(200, 64), "small": torch.randn(9)}
    for step in (400, 401):
        path = delta_training.kept_at("kjv-gpt", step, tmp_path / delta_training.CACHE)
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(weights, path)
        weights = {name: w + 1e-3 for name, w in weights.items()}
    done = bench(
        *["speed", "--codecs=delta,index-value,float-huffman", "--data=delta:steps1-bf16"],
        *["--repeats=1", "--threads=1", "--against=float-huffman", "--json=speed.json"],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "speed.json").read_text())["speeds"]
    sizes = {speed["codec"]: speed["stream_bytes"] for speed in written}
    assert sizes["delta"] < sizes["float-huffman"] / 2
    assert sizes["memcpy"] == 2 * 200 * 64
