"""The files of suites: their names, and what each says it is."""

from __future__ import annotations

from pathlib import Path

SUITES = Path(__file__).parent / "suites"


def suites() -> list[str]:
    """Return the names of the suites that come with slashbench."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def about(name: str) -> str:
    """Return what a suite is, the comment of its first line."""
    first = (SUITES / f"{name}.toml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ")
