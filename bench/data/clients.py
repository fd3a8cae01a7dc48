"""Packages brought into a folder by the ordinary client of their registry, and nothing installed.

Registries are those that the clients are set up with: no address stands here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from slashbench.errors import MissingDependency

TIMEOUT_S = 3600
_HOW_TO_GET = {
    "pip": f"{sys.executable} -m ensurepip",
    "apt-get": "it comes with Debian and Ubuntu",
    "npm": "install Node.js",
    "hub": "pip install huggingface_hub",
}


def why_not(client: str) -> str:
    """Return why a client can't be used here, and what to do; empty where it can."""
    modules = {"pip": "pip", "hub": "huggingface_hub"}
    if client in modules:
        there = importlib.util.find_spec(modules[client]) is not None
    else:
        needed = [client, "dpkg-deb"] if client == "apt-get" else [client]
        there = all(shutil.which(program) for program in needed)
    return "" if there else f"{client} is not here: {_HOW_TO_GET[client]}"


def download(client: str, package: str, into: Path) -> Path:
    """Return the file of a package, downloaded into an empty folder.

    package: as the client takes it. Raises MissingDependency with the client's last words.
    """
    if reason := why_not(client):
        raise MissingDependency(reason)
    _CLIENTS[client](package, into)
    found = [path for path in into.rglob("*") if path.is_file() and path.name != _LOG]
    if len(found) != 1:
        raise MissingDependency(f"{client} brought {len(found)} files for {package}, and not one")
    return found[0]


_LOG = "client.log"


def _pip(package: str, into: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(into), package]
    _run(command, into)


def _apt_get(package: str, into: Path) -> None:
    _run(["apt-get", "download", package], into)


def _npm(package: str, into: Path) -> None:
    _run(["npm", "pack", "--silent", package], into)


def _hub(package: str, into: Path) -> None:
    """Bring a file of a repository: REPOSITORY@REVISION:FILE."""
    from huggingface_hub import hf_hub_download  # seconds to import: only where it is the source

    where, _, name = package.partition(":")
    repository, _, revision = where.partition("@")
    try:
        found = hf_hub_download(repository, name, revision=revision)
    except Exception as error:  # whatever its network layer raises
        raise MissingDependency(f"{type(error).__name__}: {_last_line(str(error))}") from error
    shutil.copyfile(found, into / Path(name).name)


_CLIENTS: dict[str, Callable[[str, Path], None]] = {
    "pip": _pip,
    "apt-get": _apt_get,
    "npm": _npm,
    "hub": _hub,
}


def _run(command: list[str], into: Path) -> None:
    """Run a client in a folder, where its temporary files go too, so that progress shows."""
    log = into / _LOG
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                command,
                cwd=into,
                env=os.environ | {"TMPDIR": str(into)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependency(f"{command[0]}: {error}") from error
    if done.returncode:
        said = _last_line(log.read_text(encoding="utf-8", errors="replace"))
        raise MissingDependency(f"{Path(command[0]).name} failed: {said}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
    return (errors or lines or ["it said nothing"])[-1][:300]
