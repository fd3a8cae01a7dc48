"""Published records as git has them: at a tag or any other revision."""

from __future__ import annotations

import subprocess
from pathlib import Path

from slashbench.bench.machine.atomic_files import write_atomically
from slashbench.bench.store import published
from slashbench.errors import UsageError


def tags(folder: Path) -> list[str]:
    """Return the tags that hold published records in that folder, in the order of versions."""
    names = _git(folder, "tag", "--sort=version:refname").splitlines()
    return [name for name in names if _published(folder, name) is not None]


def changes(folder: Path) -> list[str]:
    """Return the commits that changed the published records in that folder, oldest first."""
    files = [str(folder.resolve() / name) for name in published.NAMES]
    return _git(folder, "log", "--reverse", "--format=%h", "--", *files).split()


def extract(folder: Path, revision: str, into: Path) -> Path:
    """Write the records that a folder had at a revision to a file below `into`.

    Raises UsageError where there are none.
    """
    found = _published(folder, revision)
    if found is None:
        raise UsageError(f"{folder} has no published records at {revision!r}")
    name, data = found
    path = into / revision.replace("/", "_") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    return path


def _published(folder: Path, revision: str) -> tuple[str, bytes] | None:
    """Return name and bytes of the records at a revision."""
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is no revision of git")
    for name in published.NAMES:
        # ./NAME: below the folder that git is called in
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), "show", f"{revision}:./{name}"], capture_output=True
            )
        except OSError as error:
            raise UsageError("git is not here: give the folders of the releases") from error
        if done.returncode == 0:
            return name, done.stdout
    return None


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(
            f"git knows nothing of {folder}: give the folders of the releases one after the other, "
            "or run this in a clone"
        ) from error
    return done.stdout
