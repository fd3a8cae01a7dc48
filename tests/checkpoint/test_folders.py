"""Folders: links are followed, what is left out is named, indexes and copies are told apart."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import slashbench
from slashbench.bench.checkpoint import folders, sources, target_size
from slashbench.errors import CorruptFile, UsageError
from tests.helpers import command
from tests.helpers.command import started

Bench = Callable[..., command.Done]

WEIGHTS = {"w": torch.randn(40, 40, generator=torch.Generator().manual_seed(0))}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The command, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(command.bench, cwd=tmp_path)


def save(path: str, weights: dict[str, torch.Tensor] = WEIGHTS) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(weights, file)
    return file


def index(folder: str, name: str, shards: dict[str, str]) -> Path:
    path = Path(folder) / f"{name}.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": shards}))
    return path


def test_links_are_followed_and_what_is_left_out_is_named(bench: Bench) -> None:
    save("elsewhere/unet/model.safetensors")
    save("model/vae/model.safetensors")
    Path("elsewhere/config.json").write_text("{}")
    Path("model/unet").symlink_to("../elsewhere/unet")
    Path("model/config.json").symlink_to("../elsewhere/config.json")
    Path("model/gone.json").symlink_to("nowhere")
    Path("model/vae/up").symlink_to("..")
    Path("model/.gitattributes").write_text("x")
    Path("model/.cache").mkdir()
    Path("model/nothing").mkdir()
    Path("model/old.bin").write_bytes(b"x")
    os.mkfifo("model/pipe")
    done = bench("compress", "model", "-o", "small")
    assert done.returncode == 0, done.stderr
    said = {
        line.removeprefix("left out: ").split(": ")[0]: line
        for line in done.stderr.splitlines()
        if "left out" in line
    }
    assert said.keys() == {"gone.json", "vae/up", ".gitattributes", ".cache", "old.bin", "pipe"}
    assert "leads nowhere" in said["gone.json"]
    assert "neither what torch.save writes" in said["old.bin"]
    assert "hidden" in said[".gitattributes"]
    made = {str(path.relative_to("small")) for path in Path("small").rglob("*")}
    assert made == {
        "config.json", "nothing", "unet", "unet/model.safetensors", "vae", "vae/model.safetensors",
    }  # fmt: skip
    assert not Path("small/config.json").is_symlink()
    assert bench("verify", "small", "--against", "model").returncode == 0
    scanned = bench("scan", "model", "--codecs", "float-rans", "--repeats", "1")
    assert "rows of 2 tensors" in scanned.stdout
    assert "gone.json" in scanned.stdout


def test_links_that_lead_round_end(bench: Bench) -> None:
    save("model/a/model.safetensors")
    Path("model/b").mkdir()
    Path("model/a/l").symlink_to("../b")
    Path("model/b/l").symlink_to("../a")
    found = folders.members(Path("model"))
    assert len(found.weights) == 2  # a's own, and that behind b/l
    assert set(found.left_out) == {Path("a/l/l"), Path("b/l/l")}


@pytest.mark.parametrize("lost", ["", ".fp16"])
def test_of_two_indexes_the_one_at_fault_is_named(lost: str, bench: Bench) -> None:
    for kind in ("", ".fp16"):
        names = {f"t{i}": f"model{kind}-0000{i}-of-00002.safetensors" for i in (1, 2)}
        for tensor, name in names.items():
            save(f"m/{name}", {tensor: WEIGHTS["w"]})
        index("m", f"model{kind}", names)
    assert bench("compress", "m", "-o", "c").returncode == 0
    with pytest.raises(UsageError, match=r"several models.*fp16\.safetensors\.index\.json"):
        slashbench.load_file("c")
    assert slashbench.load_file("c/model.fp16.safetensors.index.json").keys() == {"t1", "t2"}
    Path(f"m/model{lost}-00002-of-00002.safetensors").unlink()
    done = bench("compress", "m", "-o", "c2")
    assert done.returncode == 1
    assert f"model{lost}.safetensors.index.json names model{lost}-00002" in done.stderr


def test_a_consolidated_file_beside_shards(bench: Bench) -> None:
    save("m/model-00001-of-00001.safetensors")
    save("m/consolidated.safetensors")
    assert bench("compress", "m", "-o", "c").returncode == 0
    with pytest.raises(UsageError, match="'w' is in consolidated"):
        slashbench.load_file("c")
    assert slashbench.load_file("c/consolidated.safetensors").keys() == {"w"}
    index("c", "model", {"w": "model-00001-of-00001.safetensors"})
    assert slashbench.load_file("c").keys() == {"w"}
    index("c", "model", {"w": "nowhere.safetensors"})
    with pytest.raises(CorruptFile, match=r"model\.safetensors\.index\.json names nowhere"):
        slashbench.load_file("c")


def test_a_folder_of_more_shards_than_a_process_may_open(bench: Bench) -> None:
    Path("c").mkdir()
    for i in range(60):
        slashbench.save_file({f"l{i}": WEIGHTS["w"] + i}, f"c/model-{i:05d}.safetensors")
        save(f"plain/{i}.safetensors", {"w": WEIGHTS["w"]})
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 45, usual[1]))
    try:
        assert len(slashbench.load_file("c")) == 60
        with slashbench.safe_open("c") as file:
            assert all(torch.equal(file.get_tensor(f"l{i}"), WEIGHTS["w"] + i) for i in range(60))
        assert bench("verify", "c").returncode == 0
        plain = sources.Files(sorted(Path("plain").iterdir()))  # what `--target` reads
        assert sum(target_size.parameters(source) for source in plain) == 60 * 1600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


# -- where it is written --------------------------------------------------------------------------


def test_force_deletes_nothing_that_compress_did_not_write(bench: Bench) -> None:
    save("model/model.safetensors")
    Path("project/thesis").mkdir(parents=True)
    Path("project/thesis/text.md").write_text("years")
    done = bench("compress", "model", "-o", "project", "--force")
    assert (done.returncode, "thesis/text.md" in done.stderr) == (2, True)
    assert Path("project/thesis/text.md").read_text() == "years"
    assert bench("compress", "model", "-o", "small").returncode == 0
    Path("model/model.safetensors").rename("model/other.safetensors")
    assert bench("compress", "model", "-o", "small", "--force").returncode == 0
    assert [path.name for path in Path("small").iterdir()] == ["other.safetensors"]
    Path("small/.mine").write_text("x")
    assert bench("compress", "model", "-o", "small", "--force").returncode == 2
    Path("small/.mine").unlink()
    Path("model/more.safetensors").write_bytes(b"mine")
    assert bench("decompress", "small", "-o", "model", "--force").returncode == 2
    Path("model/more.safetensors").unlink()
    assert bench("decompress", "small", "-o", "model", "--force").returncode == 0


def test_places_that_cannot_be_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    save("model/model.safetensors")
    here = Path.cwd() / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(here))
    for out, said in [(".", "working folder"), ("..", "working folder"), ("/", "working folder"),
                      ("here", "home folder"), ("/proc", "mount point")]:  # fmt: skip
        done = bench("compress", "model", "-o", out, "--force")
        assert (done.returncode, said in done.stderr) == (2, True), (out, done.stderr)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["here", "model"]


def test_a_file_that_cannot_be_read_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    save("model/model.safetensors")
    secret = Path("model/config.json")
    secret.write_text("{}")
    usual = Path.open

    def denied(path: Path, *arguments: str) -> object:  # root may read everything
        if path.name == "config.json":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, *arguments)

    monkeypatch.setattr(Path, "open", denied)
    done = bench("compress", "model", "-o", "small")
    assert (done.returncode, "model/config.json can't be read" in done.stderr) == (2, True)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["model"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444])
def test_a_copy_allows_no_more_than_the_original(mode: int, bench: Bench) -> None:
    model = save("model/model.safetensors")
    (model.parent / "config.json").write_text("{}")
    mask = os.umask(0)
    os.umask(mask)
    for path in model.parent.iterdir():
        path.chmod(mode)
    model.parent.chmod(0o700)
    assert bench("compress", "model", "-o", "small").returncode == 0
    assert bench("compress", str(model), "-o", "alone").returncode == 0
    assert bench("decompress", "alone", "-o", "back").returncode == 0
    wanted = mode & ~mask | 0o600
    for made in (*Path("small").iterdir(), Path("alone"), Path("back")):
        assert stat.S_IMODE(made.stat().st_mode) == wanted, made
    assert stat.S_IMODE(Path("small").stat().st_mode) == 0o700


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.thorough
def test_a_process_that_is_told_to_end_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {f"w{i}": torch.randn(500, 1000, generator=generator) for i in range(8)}
    save(str(tmp_path / "in" / "m.safetensors"), weights)
    out = tmp_path / "out"
    command_line = ["compress", str(tmp_path / "in"), "-o", str(out / "c"), "--codec", "lzma"]
    with started(*command_line, stderr=subprocess.DEVNULL) as process:
        while not list(out.glob(".partial-*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        assert process.wait(60) == 128 + how
    assert not list(out.iterdir())
