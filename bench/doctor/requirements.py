"""Packages: what slashbench and each of its extras require, and what is installed."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from slashbench.bench.doctor.health_check import HealthCheck

NAME = "slashbench"

#: What each extra is for. One that is not here is shown without a purpose, which a test refuses.
PURPOSES = {
    "models": "weights and data of the default models",
    "whisper": "Whisper's weights, for the suite big",
    "onnx": "reads DINOv2's weights, and checkpoints in ONNX",
    "paper": "the BackSlash paper's models and tasks, from the hub",
    "peers": "compressors by others, to compare with",
    "lm-eval": "tasks of EleutherAI's harness as a metric",
    "s3": "results in an object store",
    "cuda": "decoding on an NVIDIA GPU",
    "docs": "builds the documentation",
    "test": "runs the tests",
    "lint": "checks types and style",
}


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from; None for an installed one."""
    root = Path(__file__).resolve().parents[2]
    file = root / "pyproject.toml"
    return (
        root if file.is_file() and f'name = "{NAME}"' in file.read_text(encoding="utf-8") else None
    )


def required() -> dict[str, list[Requirement]]:
    """Return the requirements of slashbench ("") and of each extra."""
    root = checkout()
    if root is not None:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lists = {"": project["dependencies"], **project["optional-dependencies"]}
        return {extra: [Requirement(text) for text in texts] for extra, texts in lists.items()}
    about = importlib.metadata.metadata(NAME)
    every = [Requirement(text) for text in importlib.metadata.requires(NAME) or ()]
    found = {"": [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]}
    for extra in about.get_all("Provides-Extra") or ():
        found[extra] = [
            one
            for one in every
            if one.marker is not None
            and not one.marker.evaluate({"extra": ""})
            and one.marker.evaluate({"extra": extra})
        ]
    return found


def packages() -> Iterator[HealthCheck]:
    """Yield what was found of the package itself, its requirements, extras and constraints."""
    wanted = required()
    core = wanted.pop("")
    wrong = _wrong(core)
    if wrong:
        remedy = f"pip install {' '.join(repr(str(one)) for one in core if one.name in wrong)}"
        yield HealthCheck("packages", NAME, "problem", _spelled(wrong), remedy)
    else:
        yield HealthCheck("packages", NAME, "good", f"all {len(core)} requirements are met")
    for extra, needs in wanted.items():
        yield _extra(extra, needs)
    yield from _constraints()


def _extra(extra: str, needs: Sequence[Requirement]) -> HealthCheck:
    purpose = PURPOSES.get(extra, "")
    own = [one for one in needs if canonicalize_name(one.name) != NAME]
    wrong = _wrong(own)
    name = f"extra {extra}"
    if not wrong:
        return HealthCheck("packages", name, "good", f"{purpose}: installed")
    line = f"pip install '{NAME}[{extra}]'"
    if checkout() is not None:
        line = f"pip install -c constraints.txt -e '.[{extra}]'"
    if any(found for found in wrong.values()):  # a version that slashbench does not take
        return HealthCheck("packages", name, "problem", f"{purpose}: {_spelled(wrong)}", line)
    if len(wrong) == len(own):
        return HealthCheck("packages", name, "note", f"{purpose}: not installed", line)
    return HealthCheck("packages", name, "note", f"{purpose}: {_spelled(wrong)}", line)


def _constraints() -> Iterator[HealthCheck]:
    """Yield which exact versions of a checkout's constraints.txt are not the ones here."""
    root = checkout()
    if root is None or not (file := root / "constraints.txt").is_file():
        return
    pins = [Requirement(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    others = {name: found for name, found in _wrong(pins).items() if found}
    if others:
        yield HealthCheck(
            "packages",
            "constraints",
            "note",
            f"not as constraints.txt has them: {_spelled(others)}",
            "pip install -c constraints.txt -e .",
        )
    else:
        yield HealthCheck("packages", "constraints", "good", "versions are those of the tests")


def _wrong(needs: Sequence[Requirement]) -> dict[str, str]:
    """Return the requirements that are not met -> the version here, empty if there is none."""
    wrong = {}
    for one in needs:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong[one.name] = ""
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong[one.name] = version
    return wrong


def _spelled(wrong: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found or 'is missing'}" for name, found in wrong.items())
