"""Files out of packages: wheels, npm's tarballs, Debian packages. Nothing in them is executed.

Only members that are asked for by name are read, so that no path in an archive leads anywhere.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from slashbench.errors import CorruptFile

WHOLE = "*"  # in place of a member: everything in the package, as one tar

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, KeyError, OSError,
    NotImplementedError,
)  # fmt: skip


def extract(package: Path, members: Sequence[str], into: Path) -> None:
    """Write members of a package below a folder, under their own base names.

    A file that is no archive is its own only member. Raises CorruptFile, and OSError where the
    system can't read or write.
    """
    with _explained(package.name):
        if package.suffix == ".whl":
            with zipfile.ZipFile(package) as archive:
                for member in members:
                    with archive.open(member) as source:
                        _write(source, into / Path(member).name)
        elif package.suffix == ".tgz":
            with tarfile.open(package) as archive_:
                _from_tar(archive_, members, into)
        elif package.suffix == ".deb":
            with _debian_tar(package) as stream:
                if list(members) == [WHOLE]:
                    _write(stream, into / WHOLE)
                    return
                with tarfile.open(fileobj=stream, mode="r|") as archive_:
                    _from_tar(archive_, [f"./{member}" for member in members], into)
        else:
            shutil.copyfile(package, into / package.name)


@contextmanager
def joined_zip(pieces: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """Open the zip that several files make together. Raises CorruptFile."""
    with contextlib.ExitStack() as held:
        files = [held.enter_context(path.open("rb")) for path in pieces]
        buffered = io.BufferedReader(_Joined(files, [p.stat().st_size for p in pieces]))
        with _explained(f"the zip in {pieces[0].name} and on"):
            archive = zipfile.ZipFile(buffered)
        yield held.enter_context(archive)


def member_of_zip(archive: zipfile.ZipFile, member: str, out: Path) -> None:
    """Write a member of an open zip to a file. Raises CorruptFile."""
    with _explained(member), archive.open(member) as source:
        _write(source, out)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn errors of reading an archive into CorruptFile; one with a number is the system's."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CorruptFile(f"{what} is damaged: {error}") from error


class _Joined(io.RawIOBase):
    """Several open files one after the other, as one to read from."""

    def __init__(self, files: Sequence[BinaryIO], sizes: Sequence[int]) -> None:
        self._files, self._sizes, self._at = files, sizes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, sum(self._sizes))[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = self._at
        for file, size in zip(self._files, self._sizes, strict=True):
            if left < size:
                file.seek(left)
                data = file.read(min(len(buffer), size - left))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            left -= size
        return 0


def _from_tar(archive: tarfile.TarFile, members: Sequence[str], into: Path) -> None:
    wanted = set(members)
    for found in archive:
        if found.name in wanted and found.isfile():
            source = archive.extractfile(found)
            assert source is not None
            _write(source, into / Path(found.name).name)
            wanted.remove(found.name)
    if wanted:
        raise KeyError(f"it has no {', '.join(sorted(wanted))}")


@contextmanager
def _debian_tar(package: Path) -> Iterator[IO[bytes]]:
    """Open the tar of a Debian package's files. Raises CorruptFile."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.stdout
        while process.stdout.read(1 << 20):
            pass
        if process.wait():
            raise CorruptFile(f"{package.name} is damaged: dpkg-deb can't read it")


def _write(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
