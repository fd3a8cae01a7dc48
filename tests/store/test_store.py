"""Records and artifacts on disk: atomic and checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slashbench.bench.machine import provenance
from slashbench.bench.machine.atomic_files import atomically, write_atomically
from slashbench.bench.store.store import Store
from slashbench.errors import StoreUnusable
from slashbench.record import (
    SCHEMA_VERSION,
    CellRecord,
    EvaluateRecord,
    decode,
    encode,
    key_of,
)


def evaluation(key: str) -> EvaluateRecord:
    return EvaluateRecord(
        key=key,
        status="ok",
        wall_s=1.5,
        provenance=provenance.provenance(None),
        model="m",
        weights_sha256="w",
        split="test",
        metric="accuracy",
        value=97.5,
        per_item=[100.0, 95.0],
    )


def test_a_record_reads_back() -> None:
    record = evaluation(key_of("evaluate", a=1))
    assert decode(encode(record)) == record


def test_keys_are_canonical() -> None:
    assert key_of("s", a=1, b=[2.0]) == key_of("s", b=[2.0], a=1)
    assert key_of("s", a=1) != key_of("t", a=1)


def test_put_and_get(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = evaluation("ab" * 32)
    assert store.get(EvaluateRecord, record.key) is None
    store.put(record)
    assert store.get(EvaluateRecord, record.key) == record
    assert store.get(CellRecord, record.key) is None
    assert list(store.all(EvaluateRecord)) == [record]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"stage":"evaluate"}', b"[]", b"\xff\xfe"])
def test_a_damaged_record_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    store = Store(tmp_path)
    record = evaluation("cd" * 32)
    store.put(record)
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(damage)
    assert store.get(EvaluateRecord, record.key) is None
    assert len(store.warnings) == 1
    assert path.with_name(path.name + ".corrupt").read_bytes() == damage


def test_a_newer_schema_is_not_misread(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = evaluation("ef" * 32)
    store.put(record)
    (path,) = tmp_path.rglob("*.json")
    later = SCHEMA_VERSION + 1
    path.write_text(
        path.read_text().replace(f'"schema_version":{SCHEMA_VERSION}', f'"schema_version":{later}')
    )
    assert store.get(EvaluateRecord, record.key) is None
    assert f"schema version {later}" in store.warnings[0]


def test_a_record_of_the_first_schema_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = evaluation("ef" * 32)
    store.put(record)
    (path,) = tmp_path.rglob("*.json")
    old = {**json.loads(path.read_text()), "schema_version": 1}
    path.write_text(json.dumps(old))
    assert store.get(EvaluateRecord, record.key) == record
    assert store.holds(EvaluateRecord, record.key)
    assert json.loads(path.read_text()) == old  # what was measured is not rewritten


def test_artifacts_are_named_by_their_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sha256 = store.put_artifact(b"weights")
    path = store.find_artifact(sha256)
    assert path is not None
    assert path.read_bytes() == b"weights"
    path.write_bytes(b"weighty")
    assert store.find_artifact(sha256) is None
    assert "set aside" in store.warnings[0]
    assert store.find_artifact("") is None


def write_and_die(folder: Path) -> None:
    """Another process starts to write a file and is killed half-way."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from slashbench.bench.machine.atomic_files import atomically\n"
        "with atomically(Path(sys.argv[1]) / 'x.json') as file:\n"
        "    file.write(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=False)


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    write_and_die(tmp_path / "records")
    assert len(list(tmp_path.rglob(".partial-*"))) == 1
    with atomically(tmp_path / "records" / "y.json") as file:
        Store(tmp_path).sweep()
        (mine,) = tmp_path.rglob(".partial-*")
        file.write(b"whole")
    assert not mine.exists()
    assert (tmp_path / "records" / "y.json").read_bytes() == b"whole"


def test_leftovers_of_another_machine_are_swept_when_they_are_old(tmp_path: Path) -> None:
    new, old = (tmp_path / f".partial-0123456789ab-1-{i}-x" for i in (1, 2))
    new.touch()
    old.touch()
    os.utime(old, (0, 0))
    Store(tmp_path).sweep()
    assert new.exists()
    assert not old.exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(StoreUnusable, match="choose another folder"):
        Store(tmp_path / "results").sweep()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnusable, match="no permission"):
        write_atomically(tmp_path / "x" / "y", b"data")


def test_a_write_that_dies_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """A real limit on file size stands in for a full disk: the write fails half-way."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from slashbench.bench.machine.atomic_files import atomically, write_atomically\n"
        "from slashbench.errors import StoreUnusable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_atomically(Path(sys.argv[1]), bytes(100_000))\n"
        "except StoreUnusable as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "can't write" in done.stdout
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
