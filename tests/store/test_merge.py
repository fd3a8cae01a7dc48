"""`bench merge`: records of several folders in one, each with its artifact."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from slashbench.bench import cli
from slashbench.bench.store import merge
from slashbench.bench.store.store import Store
from slashbench.errors import UsageError
from slashbench.record import CellRecord, CheckpointRecord


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one real cell."""
    out = tmp_path_factory.mktemp("made")
    with pytest.raises(SystemExit) as end:
        cli.main(
            ["run", "--models=digits-mlp:steps=5", "--recipes=plain", "--codecs=pack", "--seeds=0",
             "--jobs=0", f"--out={out}"]
        )  # fmt: skip
    assert end.value.code == 0
    return out


def test_all_comes_over_once(made: Path, tmp_path: Path) -> None:
    target = Store(tmp_path)
    found = merge.merge(Store(made), target)
    assert found.records == len(list(Store(made).every()))
    assert found.artifacts == 2
    assert found.known == 0
    assert list(target.every()) == list(Store(made).every())
    again = merge.merge(Store(made), target)
    assert (again.records, again.artifacts, again.known) == (0, 0, found.records)


def test_a_good_record_stands_against_a_failed_one(made: Path, tmp_path: Path) -> None:
    good = Store(made)
    (cell,) = good.cells()
    failed = Store(tmp_path / "failed")
    failed.put(msgspec.structs.replace(cell, status="failed", reason="no luck"))
    shutil.copytree(made, tmp_path / "copy")
    assert merge.merge(failed, Store(tmp_path / "copy")).known == 1
    merge.merge(good, failed)
    for store in (failed, Store(tmp_path / "copy")):
        assert store.get(CellRecord, cell.key) == cell


def test_no_record_comes_without_its_artifact(made: Path, tmp_path: Path) -> None:
    target = Store(tmp_path)
    merge.merge(Store(made), target)
    points = list(target.all(CheckpointRecord))
    assert points
    for point in points:
        assert target.find_artifact(point.artifact_sha256) is not None


def test_a_place_without_records_is_an_error(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="has no records"):
        merge.check_source(Store(tmp_path / "typo"))
    with pytest.raises(SystemExit) as end:
        cli.main(["merge", str(made), str(tmp_path / "typo"), f"--out={tmp_path / 'target'}"])
    assert end.value.code == 2
    assert "typo has no records" in capsys.readouterr().err
    assert not (tmp_path / "target").exists()  # nothing was taken from the other one either
