"""Tools for whole files: every one restores the tensors, and the board says so."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from slashbench.bench.speed import file_speed
from slashbench.bench.speed.file_tools import TOOLS
from slashbench.errors import UsageError


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "plain.safetensors"
    rng = np.random.default_rng(0)
    tensors = {
        "a": rng.normal(0, 0.02, (300, 200)).astype(np.float32),
        "b": rng.normal(0, 0.02, 7000).astype(np.float16),
        "ids": np.arange(100),
    }
    save_file(tensors, path, {"format": "pt"})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_restores_what_it_saved(name, plain):
    if why := TOOLS[name].missing():
        pytest.skip(why)
    failed = {}
    (found,) = file_speed.run([plain], [name], 1, lambda *_: None, failed)
    assert not failed
    assert [speed.tool for speed in found] == [name]
    assert 0 < found[0].packed_bytes < 1.01 * plain.stat().st_size + 4096
    assert name in file_speed.table(found).rows[0]
    assert (found[0].error > 0) == TOOLS[name].lossy


def test_a_tool_that_fails_is_named_and_the_others_go_on(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no checkpoint" * 100)
    failed = {}
    (found,) = file_speed.run([broken], ["float-rans"], 1, lambda *_: None, failed)
    assert found == []
    assert set(failed) == {"float-rans on broken.safetensors"}


@pytest.mark.parametrize("codec", ["xz"])
def test_what_fails_on_one_file_is_tried_on_the_next(codec, plain, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no checkpoint" * 100)
    failed = {}
    first, second = file_speed.run([broken, plain], [codec], 1, lambda *_: None, failed)
    assert set(failed) == {f"{codec} on broken.safetensors"}
    assert first == []
    assert [speed.tool for speed in second] == [codec]
    assert second[0].save_peak_kib > 1000


def test_a_tool_that_fails_in_a_later_round_is_left_out(plain, monkeypatch):
    steps = file_speed._step
    seen = []

    def failing(name, step, before, after):
        seen.append(step)
        if len(seen) > 2:
            raise UsageError("full")
        return steps(name, step, before, after)

    monkeypatch.setattr(file_speed, "_step", failing)
    failed = {}
    (found,) = file_speed.run([plain], ["xz"], 3, lambda *_: None, failed)
    assert found == []
    assert set(failed) == {"xz on plain.safetensors"}
    assert seen == ["save", "restore", "save"]


@pytest.mark.parametrize(
    ("file", "rounds", "said"), [("none", 1, "nothing at"), ("", 0, "at least 1")]
)
def test_wrong_use_runs_nothing(file, rounds, said, plain):
    with pytest.raises(UsageError, match=said):
        next(file_speed.run([plain.parent / file if file else plain], ["xz"], rounds, print, {}))


def test_unknown_tools_are_named():
    with pytest.raises(UsageError, match="no tool 'gzip'"):
        file_speed.contestants("zstd,gzip")


def test_a_lossy_tool_stands_below_the_others_with_its_error(plain, tmp_path):
    again = tmp_path / "again.safetensors"
    tensors = load_file(plain)
    save_file(tensors, again)
    assert file_speed.distance(plain, again) == (0.0, 67_000)
    tensors["a"] *= np.float32(1.01)
    save_file(tensors, again)
    error, _ = file_speed.distance(plain, again)
    assert error == pytest.approx(0.01 * (60_000 / 67_000) ** 0.5, rel=0.01)
    figures = {"save_s": [1.0], "save_step_s": [1.0], "save_peak_kib": 1} | {
        "restore_s": [1.0], "restore_step_s": [1.0], "restore_peak_kib": 1
    }  # fmt: skip
    speeds = [
        file_speed.FileSpeed(
            tool=tool, how="somehow", file="f", plain_bytes=900, packed_bytes=size, error=off,
            bits=4.5, **figures,
        )
        for tool, size, off in (("far", 100, error), ("large", 500, 0.0), ("small", 300, 0.0))
    ]  # fmt: skip
    rows = file_speed.table(speeds).rows
    assert [row[0] for row in rows] == ["small", "large", "far"]
    assert rows[2][-1] == "somehow; lossy: 4.50 bits a weight, error 0.95 %"
    del tensors["b"]
    save_file(tensors, again)
    with pytest.raises(UsageError, match="other names"):
        file_speed.distance(plain, again)
