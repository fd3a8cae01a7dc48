"""The metric on training data, which Fig. 5 shows beside that on test data."""

from __future__ import annotations

from collections.abc import Iterable

from slashbench.bench.pipeline.record_cache import StageFailed
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell

ROUNDING = "quantize:step=2^-8"  # the paper's


def evaluate(cells: Iterable[Cell], stages: Stages) -> None:
    """Evaluate what was trained here and only rounded since; codecs share the weights."""
    weights: dict[tuple[str, str, int], Cell] = {}
    for cell in cells:
        recipe = cell.recipe
        if cell.model.item.plan and not recipe.transforms and recipe.quantiser.text == ROUNDING:
            weights.setdefault((cell.model.text, cell.recipe.text, cell.seed), cell)
    for cell in weights.values():
        try:
            stages.decoded_metric(cell, "train")
        except StageFailed:
            continue  # the record says why, and so does the cell's
