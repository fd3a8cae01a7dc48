"""Which of the cells that are to run have a record made with other code, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from slashbench.bench.pipeline import keys
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.record import CellRecord

_Who = tuple[str, str, str, str, int]


def other_code(store: Store, cells: Sequence[Cell]) -> Counter[str]:
    """Return what changed since a cell was run last -> how many cells.

    Code is that of plug-ins and of the libraries that entries wrap. Cells that were never run, and
    those run by the code of today on another machine, are not counted.
    """
    wanted = {_who(**keys.cell_fields(cell)): keys.code(cell) for cell in cells}
    newest: dict[_Who, CellRecord] = {}
    if any(wanted.values()):
        for found in store.cells():
            who = _who(found.model, found.recipe, found.execution, found.codec, found.seed)
            known = newest.get(who)
            if who in wanted and (known is None or _when(known) < _when(found)):
                newest[who] = found
    changes: Counter[str] = Counter()
    for who, found in newest.items():
        changes.update(_changes(found.code, wanted[who]))
    return changes


def _who(model: str, recipe: str, execution: str, codec: str, seed: int) -> _Who:
    return model, recipe, execution, codec, seed


def _when(found: CellRecord) -> str:
    return found.provenance.measured_at


def _changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return [
        _change(name, before.get(name, ""), found)
        for name, found in now.items()
        if before.get(name) != found
    ]


def _change(name: str, before: str, now: str) -> str:
    if " " in name:  # a plug-in: a hash says nothing to people
        return f"{name} was edited" if before else f"{name}, of which no hash was kept"
    return f"{name} {before or 'of an unknown version'}, now {now}"
