"""bench compress, decompress, inspect, verify: on files, folders and pipes."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import slashbench
from slashbench.bench.checkpoint import reader
from slashbench.errors import CorruptFile
from tests.helpers import command

Bench = Callable[..., command.Done]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """The command, in this process."""
    return functools.partial(command.bench, cwd=tmp_path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, and a folder as Hugging Face has them, in shards."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(200, 150, generator=generator) * 0.02
    tensors = {
        "wide": wide,
        "half": wide.bfloat16(),
        "bias": wide[0].clone(),
        "ids": torch.arange(9),
    }
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    folder = tmp_path / "folder"
    (folder / "pooling").mkdir(parents=True)
    shards = {
        f"model-0000{i}-of-00002.safetensors": {f"{i}.{n}": t for n, t in tensors.items()}
        for i in (1, 2)
    }
    for name, held in shards.items():
        safetensors.torch.save_file(held, folder / name, {"format": "pt"})
    names = {tensor: name for name, held in shards.items() for tensor in held}
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    (folder / "pooling" / "config.json").write_text("{1}")
    (folder / "pytorch_model.bin").write_bytes(b"old")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_and_back(bench: Bench, home: Path) -> None:
    done = bench("compress", "model.safetensors", "-o", "small")
    assert done.returncode == 0, done.stderr
    assert "bits a parameter" in done.stderr
    assert (home / "small").stat().st_size < (home / "model.safetensors").stat().st_size
    assert bench("decompress", "small", "-o", "back").returncode == 0
    assert (home / "back").read_bytes() == (home / "model.safetensors").read_bytes()
    done = bench("verify", "small", "--against", "model.safetensors")
    assert (done.returncode, "byte for byte" in done.stdout) == (0, True)


def test_what_is_compressed_is_not_compressed_again(bench: Bench, home: Path) -> None:
    bench("compress", "model.safetensors", "-o", "small")
    done = bench("compress", "small", "-o", "smaller")
    assert (done.returncode, "small is compressed" in done.stderr) == (2, True)


def test_pipes(bench: Bench, home: Path) -> None:
    plain = (home / "model.safetensors").read_bytes()
    small = bench("compress", "-", "-o", "-", given=plain)
    assert small.returncode == 0, small.stderr
    back = bench("decompress", "-", "-o", "-", given=small.raw)
    assert back.raw == plain
    cut = bench("decompress", "-", "-o", "-", given=small.raw[:-9])
    assert (cut.returncode, cut.raw) == (1, b"")


def test_folders(bench: Bench, home: Path) -> None:
    done = bench("compress", "folder", "-o", "small")
    assert done.returncode == 0, done.stderr
    assert "left out: pytorch_model.bin" in done.stderr
    small = sorted(
        str(p.relative_to(home / "small")) for p in (home / "small").rglob("*") if p.is_file()
    )
    assert small == [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "pooling/config.json",
    ]  # fmt: skip
    assert (home / "small" / "pooling" / "config.json").read_text() == "{1}"
    loaded = slashbench.load_file(home / "small")
    assert len(loaded) == 8
    done = bench("verify", "small", "--against", "folder")
    assert (done.returncode, done.stdout.count("byte for byte")) == (0, 2)
    assert bench("decompress", "small", "-o", "back").returncode == 0
    for file in (home / "folder").glob("*.safetensors"):
        assert (home / "back" / file.name).read_bytes() == file.read_bytes()
    assert bench("compress", "folder", "-o", "small").returncode == 2
    assert bench("compress", "folder", "-o", "small", "--force").returncode == 0
    assert sorted(p.name for p in home.iterdir()) == [
        "back",
        "folder",
        "model.safetensors",
        "small",
    ]


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", ""]
)
def test_an_index_that_leads_out_of_its_folder(bench: Bench, name: str, home: Path) -> None:
    index = home / "folder" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(CorruptFile, match="no file of its folder"):
        slashbench.load_file(home / "folder")
    done = bench("compress", "folder", "-o", "small")
    assert (done.returncode, "no file of its folder" in done.stderr) == (1, True)
    assert not (home / "small").exists()


def test_nothing_is_overwritten_unasked(bench: Bench, home: Path) -> None:
    (home / "small").write_bytes(b"mine")
    (home / "link").symlink_to(home / "small")
    for out in ("small", "link"):
        done = bench("compress", "model.safetensors", "-o", out)
        assert (done.returncode, "--force" in done.stderr) == (2, True)
    assert (home / "small").read_bytes() == b"mine"
    assert bench("compress", "model.safetensors", "-o", "link", "--force").returncode == 0
    assert (home / "small").read_bytes() == b"mine"  # the link is replaced, not what it leads to
    assert not (home / "link").is_symlink()
    before = sorted(home.iterdir())
    for verb, path in (("compress", "model.safetensors"), ("decompress", "link")):
        done = bench(verb, path, "--dry-run")
        assert (done.returncode, "would be" in done.stderr) == (0, True)
    assert sorted(home.iterdir()) == before


def test_quantized_to_a_target(bench: Bench, home: Path) -> None:
    done = bench("compress", "model.safetensors", "-o", "small", "--target", "3bits")
    assert done.returncode == 0, done.stderr
    assert "quantized by quantize:step=" in done.stderr
    done = bench("inspect", "small", "--json")
    (found,) = json.loads(done.stdout)
    assert found["format"] == 2
    assert found["parameters"] == 60_150
    assert 2.9 < 8 * found["file_bytes"] / found["parameters"] <= 3
    assert sum(found["ledger"].values()) == found["file_bytes"] == (home / "small").stat().st_size
    done = bench("inspect", "small")
    assert "wide" in done.stdout
    assert "payload" in done.stdout
    done = bench("verify", "small", "--against", "model.safetensors")
    assert (done.returncode, "2 are quantized by quantize:step=" in done.stdout) == (0, True)


def test_verify_finds_damage_and_difference(bench: Bench, home: Path) -> None:
    bench("compress", "model.safetensors", "-o", "small")
    other = safetensors.torch.load_file(home / "model.safetensors")
    other["wide"][5, 5] += 1
    safetensors.torch.save_file(other, home / "other", {"format": "pt"})
    done = bench("verify", "small", "--against", "other")
    assert (done.returncode, "wide: other bytes" in done.stdout) == (3, True)
    assert bench("verify", "small").returncode == 0
    data = bytearray((home / "small").read_bytes())
    data[-5000] ^= 4
    (home / "small").write_bytes(data)
    done = bench("verify", "small")
    assert (done.returncode, "small" in done.stderr) == (1, True)
    assert bench("decompress", "small", "-o", "back").returncode == 1
    assert not (home / "back").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["compress", "nowhere", "-o", "x"], 2, "nothing at nowhere"),
        (["compress", "model.safetensors"], 2, "say where to write"),
        (["compress", "model.safetensors", "-o", "folder", "--force"], 2, "is a folder"),
        (["compress", "folder", "-o", "-"], 2, "does not go into a pipe"),
        (["compress", "folder", "-o", "folder/small"], 2, "in the folder that is read"),
        (["compress", "folder/config.json", "-o", "x"], 1, "too few"),
        (["compress", "model.safetensors", "-o", "x", "--codec", "hufman"], 2, "did you mean"),
        (["compress", "model.safetensors", "-o", "x", "--quantize", "gptq9"], 2, "no quantiser"),
        (["compress", "model.safetensors", "-o", "x", "--target", "4"], 2, "of the form 4bits"),
        (["decompress", "model.safetensors", "-o", "x"], 1, "not written by slashbench"),
    ],
)
def test_wrong_use(bench: Bench, arguments: list[str], code: int, said: str, home: Path) -> None:
    done = bench(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not (home / "x").exists()


def test_help_has_examples(bench: Bench, tmp_path: Path) -> None:
    for verb in ("compress", "decompress", "inspect", "verify", "scan"):
        assert f"examples\n  bench {verb}" in bench(verb, "--help").stdout


def test_names_reach_the_terminal_without_their_escape_sequences(bench: Bench, home: Path) -> None:
    """A name could clear the screen, or set the title of the window."""
    name = "\x1b[2J\x1b]0;owned\x07w"
    slashbench.save_file({name: torch.randn(90, 90)}, "odd")
    safetensors.torch.save_file({name: torch.randn(90, 90)}, "plain")
    for arguments in (["inspect", "odd"], ["verify", "odd", "--against", "plain"],
                      ["compress", "plain", "-o", "x", "--quantize", "rtn"],
                      ["scan", "plain", "--codecs", "float-rans", "--repeats", "1"]):  # fmt: skip
        done = bench(*arguments)
        assert "Traceback" not in done.stderr
        assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr), arguments
    assert "\\x1b[2J" in bench("inspect", "odd").stdout


def test_a_file_of_any_ratio_is_inspected(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decoded for it, so nothing limits what it would decode to."""
    zeros = torch.zeros(1 << 18)
    slashbench.save_file({"zeros": zeros}, "zeros")
    monkeypatch.setattr(reader, "ANY_FILE", 0)
    monkeypatch.setattr(reader, "TIMES", 10)
    assert (home / "zeros").stat().st_size * 10 < zeros.nbytes
    done = bench("inspect", "zeros", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["parameters"] == 1 << 18
    assert "--max-bytes" in bench("decompress", "zeros", "-o", "x").stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_a_full_device(bench: Bench, home: Path) -> None:
    done = bench("compress", "model.safetensors", "-o", "/dev/full")
    assert (done.returncode, "disk is full" in done.stderr) == (2, True)
    assert Path("/dev/full").is_char_device()


def test_what_a_killed_compress_left_is_swept_by_the_next(bench: Bench, home: Path) -> None:
    out = home / "out"
    out.mkdir()
    with command.started("compress", "model.safetensors", "-o", "out/a", "--codec", "lzma",
                         cwd=home) as process:  # fmt: skip
        while not list(out.glob(".partial-*")) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert bench("compress", "model.safetensors", "-o", "out/b").returncode == 0
    assert {path.name for path in out.iterdir()} <= {"a", "b"}


def test_a_fast_check_reads_the_index_only(bench: Bench, home: Path) -> None:
    bench("compress", "model.safetensors", "-o", "small.safetensors")
    file = home / "small.safetensors"
    whole = file.read_bytes()
    segment = reader.opened(file).blob("wide").segments[0]
    assert bench("verify", "small.safetensors", "--fast").returncode == 0
    for place, noticed in ((segment.begin + 20, True), (segment.end - 9, False)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        file.write_bytes(bytes(damaged))
        done = bench("verify", "small.safetensors", "--fast")
        assert done.returncode == int(noticed)
        assert ("'wide'" in done.stderr) == noticed
        assert bench("verify", "small.safetensors").returncode == 1
    done = bench("verify", "small.safetensors", "--fast", "--against", "model.safetensors")
    assert done.returncode == 2


def test_streams_of_another_size_are_found_without_decoding(bench: Bench, home: Path) -> None:
    """As a program might write that gives the streams of two tensors each other's names."""
    tensors = {"a": torch.randn(90, 90), "b": torch.randn(80, 80)}
    slashbench.save_file(tensors, home / "small.safetensors")
    checkpoint = reader.opened(home / "small.safetensors")
    checkpoint.header.tensors["a"], checkpoint.header.tensors["b"] = (
        checkpoint.header.tensors["b"],
        checkpoint.header.tensors["a"],
    )
    with pytest.raises(CorruptFile):
        checkpoint.check_structure("a")


def test_diff_says_what_differs_and_by_how_much(bench: Bench, home: Path) -> None:
    old = safetensors.torch.load_file(home / "model.safetensors")
    new = {name: tensor.clone() for name, tensor in old.items() if name != "bias"}
    new["wide"][3, 4] += 0.5
    new["half"] = new["half"].float()
    new["more"] = torch.zeros(0, 3)
    safetensors.torch.save_file(new, home / "other.safetensors")
    bench("compress", "other.safetensors", "-o", "small.safetensors")
    done = bench("diff", "model.safetensors", "small.safetensors", "--json")
    assert done.returncode == 3, done.stderr
    found = {each["tensor"]: each for each in json.loads(done.stdout)}
    assert {name: each["what"] for name, each in found.items()} == {
        "bias": "only in the old one",
        "half": "type or shape",
        "more": "only in the new one",
        "wide": "values",
    }
    assert found["wide"]["values"] == 1
    assert found["wide"]["largest"] == pytest.approx(0.5, rel=1e-5)
    expected = 0.5 / float(old["wide"].double().square().sum().sqrt())
    assert found["wide"]["relative"] == pytest.approx(expected, rel=1e-4)
    done = bench("diff", "model.safetensors", "small.safetensors")
    assert (done.returncode, "4 of 5 tensors differ" in done.stdout) == (3, True)


def test_diff_of_the_same_weights_in_other_files(bench: Bench, home: Path) -> None:
    bench("compress", "folder", "-o", "small")
    done = bench("diff", "folder", "small")
    assert (done.returncode, "all 8 tensors are the same" in done.stdout) == (0, True), done.stderr


def test_diff_of_values_that_are_no_numbers(bench: Bench, home: Path) -> None:
    old = torch.tensor([1.0, float("nan"), float("inf"), 0.0])
    new = torch.tensor([1.0, float("nan"), float("inf"), -0.0])
    safetensors.torch.save_file({"w": old}, home / "a.safetensors")
    safetensors.torch.save_file({"w": new}, home / "b.safetensors")
    (found,) = json.loads(bench("diff", "a.safetensors", "b.safetensors", "--json").stdout)
    assert (found["values"], found["largest"], found["relative"]) == (1, 0.0, 0.0)
    new[2] = 5.0
    safetensors.torch.save_file({"w": new}, home / "b.safetensors")
    (found,) = json.loads(bench("diff", "a.safetensors", "b.safetensors", "--json").stdout)
    assert (found["values"], found["largest"]) == (2, "inf")
