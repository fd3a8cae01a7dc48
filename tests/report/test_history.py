"""`bench history`: releases from git and from folders, and what a gate holds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from slashbench.record import CheckpointRecord
from tests.helpers.command import bench
from tests.helpers.report_lab import Lab


def lab(folder: Path, rans: float = 500, decode_ns: int = 1_000_000, usual: int = 2_000_000) -> Lab:
    """Three seeds of two codecs; zlib is what `usual` is the time of."""
    made = Lab(folder)
    for seed in range(3):
        made.cell("rans", rans + seed, seed=seed, decode_ns=decode_ns)
        made.cell("zlib", 700, seed=seed, decode_ns=usual)
    return made


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with two tags of the folder `board`, and a third version in the tree."""
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "-q")
    for number, size in enumerate((500, 490, 490)):
        lab(tmp_path / f"run{number}", size, 1_000_000 - 250_000 * number)
        assert (
            bench("publish", tmp_path / f"run{number}", "--out", "board", cwd=root).returncode == 0
        )
        if number < 2:
            git(root, "add", ".")
            git(root, "commit", "-q", "-m", str(number))
            git(root, "tag", f"v{9 + number}")  # v9, v10: by version, not by letter
    return root


def test_each_tag_is_a_release_to_the_byte(clone: Path) -> None:
    done = bench("history", "board", "--json", cwd=clone)
    assert done.returncode == 0, done.stderr
    steps = {(s["before"], s["codec"]): s for s in json.loads(done.stdout)}
    assert set(steps) == {(r, c) for r in ("v9", "v10") for c in ("rans", "zlib")}
    first = steps["v9", "rans"]
    assert (first["bytes_before"], first["bytes_after"]) == (1503, 1473)
    assert (first["same"], first["grown"], first["shrunk"]) == (0, 0, 3)
    assert first["decode_ratio"] == pytest.approx(1000 / 750)
    assert steps["v10", "rans"]["same"] == 3
    assert steps["v10", "zlib"]["decode_ratio"] == pytest.approx(1.0)


def test_revisions_can_be_named_and_without_tags_commits_are_releases(clone: Path) -> None:
    done = bench("history", "board", "--refs", "HEAD", "--by", "model", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "HEAD -> now" in done.stdout
    assert "v9" not in done.stdout
    git(clone, "tag", "-d", "v9", "v10")
    done = bench("history", "board", cwd=clone)
    assert done.stdout.count(" -> ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no folder"),
        (("board", "--refs", "v8"), "no published records at 'v8'"),
        (("board", "board", "--refs", "v9"), "one folder"),
        (("board", "--gate", "size>0"), "--fail-on 'size>0'"),
    ],
)
def test_what_is_no_release_is_told(clone: Path, arguments: tuple[str, ...], said: str) -> None:
    done = bench("history", *arguments, cwd=clone)
    assert done.returncode == 2
    assert said in done.stderr


def gate(folder: Path, *arguments: str) -> tuple[int, str]:
    done = bench("history", "a", "b", *(arguments or ("--gate",)), cwd=folder)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("size", "code"), [(500, 0), (499, 1), (501, 1)])
def test_a_byte_more_or_less_fails_the_gate(tmp_path: Path, size: int, code: int) -> None:
    lab(tmp_path / "a")
    lab(tmp_path / "b", size)
    found, said = gate(tmp_path)
    assert found == code, said
    assert ("from 500 to" in said) == bool(code)


def test_files_of_other_weights_are_not_held_and_nothing_to_hold_is_a_failure(
    tmp_path: Path,
) -> None:
    lab(tmp_path / "a")
    other = lab(tmp_path / "b", 520)
    points = list(other.store.all(CheckpointRecord))

    def with_weights(point: CheckpointRecord) -> None:
        other.store.put(msgspec.structs.replace(point, weights_sha256="other"))

    for point in points:
        if point.seed:
            with_weights(point)
    code, said = gate(tmp_path)
    assert code == 1
    assert "4 cells are not: other float weights" in said
    assert said.count("from 500 to 520") == 1
    assert "seed 1" not in said
    for point in points:
        with_weights(point)
    code, said = gate(tmp_path)
    assert code == 1
    assert "nothing could be held" in said


def test_a_slow_hour_is_no_slow_codec(tmp_path: Path) -> None:
    lab(tmp_path / "a")
    lab(tmp_path / "b", decode_ns=3_000_000, usual=6_000_000)  # all take thrice as long
    assert gate(tmp_path, "--slower", "1.1")[0] == 0
    lab(tmp_path / "b", decode_ns=3_000_000)
    code, said = gate(tmp_path, "--slower", "2")
    assert code == 1
    assert "decode: rans has 0.33 times the speed it had beside zlib" in said
    assert gate(tmp_path, "--slower", "4")[0] == 0
    code, said = gate(tmp_path, "--slower", "4", "--against", "lzma")
    assert code == 1
    assert "no cell has lzma timed in both" in said
