"""The boards there are, in the order they are shown. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slashbench.bench.report.boards import (
    codecs,
    coverage,
    deployment,
    equal_accuracy,
    first_screen,
    ledger,
    limits,
    pareto,
    quality,
    recipes,
    regimes,
    speed,
    tensors,
    updates,
    weights,
)
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Section
from slashbench.errors import UnknownName

BOARDS: dict[str, Callable[[Results], Section]] = {
    "summary": first_screen.section,
    "equal-accuracy": equal_accuracy.section,
    "updates": updates.section,
    "quality": quality.section,
    "regimes": regimes.section,
    "pareto": pareto.section,
    "limit": limits.section,
    "codecs": codecs.section,
    "lossless": codecs.lossless_section,
    "speed": speed.section,
    "deployment": deployment.section,
    "ledger": ledger.section,
    "tensors": tensors.section,
    "weights": weights.section,
    "recipes": recipes.section,
    "names": first_screen.names_section,
    "coverage": coverage.section,
    "origin": coverage.origin,
}


def sections(results: Results, names: Sequence[str] = tuple(BOARDS)) -> list[Section]:
    """Return the boards of those names that are not empty. Raises UnknownName."""
    for name in names:
        if name not in BOARDS:
            raise UnknownName(f"no board {name!r}; there are: {', '.join(BOARDS)}, all")
    made = [BOARDS[name](results) for name in names]
    return [section for section in made if section.parts]
