"""A folder, memory and a real S3 server over HTTP keep the same promises."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from slashbench.bench.store import backends
from slashbench.bench.store.backends import Backend
from slashbench.bench.store.leases import Leases
from slashbench.bench.store.store import Store
from slashbench.errors import StageBusy, StoreUnusable, UsageError


@pytest.fixture(params=["folder", "memory", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "folder":
        return backends.at(tmp_path)
    if request.param == "memory":
        return backends.at(f"memory://{uuid.uuid4().hex}")
    return backends.at(f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}")


def test_files_by_name(files: Backend) -> None:
    assert files.read("a/b") is None
    assert files.size("a/b") is None
    assert files.local("a/b") is None
    files.write("a/b", b"first")
    files.write("a/b", b"second")
    files.write("a/c/d", b"")
    assert files.read("a/b") == b"second"
    assert files.size("a/b") == 6
    assert list(files.names("a")) == ["a/b", "a/c/d"]
    assert list(files.names("nothing")) == []
    path = files.local("a/b")
    assert path is not None
    assert path.read_bytes() == b"second"
    files.remove("a/b")
    files.remove("a/b")
    assert files.read("a/b") is None
    assert files.local("a/b") is None
    files.sweep()


def test_a_file_that_cant_be_read_is_said_in_words(tmp_path: Path) -> None:
    files = backends.at(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StoreUnusable, match=r"can't read .* a folder is in the way"):
        files.read("folder")
    for look in (files.read, files.size):
        with pytest.raises(StoreUnusable, match=r"can't read .* links lead in a circle"):
            look("circle")


def test_of_many_who_create_a_file_one_alone_does(files: Backend) -> None:
    for name in ("x", "y", "z"):
        made = []

        def create(mark: bytes, name: str = name, made: list[bytes] = made) -> None:
            if files.create(name, mark):
                made.append(mark)

        threads = [threading.Thread(target=create, args=[bytes([n])]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        assert files.read(name) == made[0]


def test_leases_and_artifacts(files: Backend) -> None:
    store = Store(files.where)
    sha256 = store.put_artifact(b"weights")
    another = Store(files.where)
    path = another.find_artifact(sha256)
    assert path is not None
    assert path.read_bytes() == b"weights"
    with store.leases.hold("key"):
        assert len(list(files.names("leases"))) == 1
    assert list(files.names("leases")) == []


def test_a_lease_in_an_object_store_is_held_by_one(files: Backend) -> None:
    with Leases(files).hold("key"), pytest.raises(StageBusy), Leases(files).hold("key"):
        pass


def test_a_damaged_artifact_is_set_aside_and_made_again(files: Backend) -> None:
    store = Store(files.where)
    sha256 = store.put_artifact(b"weights")
    files.write(f"artifacts/{sha256[:2]}/{sha256}.safetensors", b"weighty")
    assert store.find_artifact(sha256) is None
    assert len(store.warnings) == 1
    assert store.put_artifact(b"weights") == sha256
    assert store.find_artifact(sha256) is not None


def test_an_object_store_that_is_not_there(s3: str) -> None:
    with pytest.raises(StoreUnusable, match="check the address"):
        backends.at("s3://no-such-bucket/results").write("a", b"b")


def test_a_url_that_nothing_opens() -> None:
    with pytest.raises(UsageError, match="gopher"):
        backends.at("gopher://x/results")
