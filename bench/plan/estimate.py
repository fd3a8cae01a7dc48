"""How long cells may take, from their models' own hints."""

from __future__ import annotations

from collections.abc import Sequence

from slashbench.bench.plan.matrix import Cell

Training = tuple[str, str, int]


def training_of(cell: Cell) -> Training:
    """Return what tells the cell's training from those of other cells: model, regime and seed."""
    return cell.model.text, cell.recipe.regime.text, cell.seed


def estimate_s(cells: Sequence[Cell]) -> float:
    """Return the seconds that the cells may take on two cores."""
    trained = {training_of(cell): cell for cell in cells if cell.model.item.plan}
    training = sum(cell.model.item.train_hint_s for cell in trained.values())
    return training + sum(cell.model.item.cell_hint_s for cell in cells)
