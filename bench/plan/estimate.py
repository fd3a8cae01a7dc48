"""How long cells may take: hints of models and quantisers, added up."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

from slashbench.bench.plan.matrix import Cell

#: Processes that work side by side. The hints are seconds of one of two processes on two cores, as
#: records of the default suite had them.
PARALLEL = 2.0
#: Seconds for a regime's own work in each training step, relative to the step.
REGIME_OVERHEAD = 0.05
#: Seconds for a teacher's forward pass, the same.
TEACHER_OVERHEAD = 0.35
#: Seconds that a cell costs whatever its size: the file, a fresh process, records.
CELL_S = 0.15
#: Seconds for a million weights, written, decoded and compared, by a codec that is not slow.
CODEC_S = 0.1
#: The same of slow ones.
SLOW_CODECS_S = {
    "lzma": 3.0, "bz2": 1.0, "zlib": 1.0, "brotli": 1.5, "deepcabac": 0.8,
    "constriction-huffman": 1.5, "ans": 0.5, "range": 0.5, "sparse": 0.3, "pcodec": 0.2,
}  # fmt: skip
#: Seconds that timing takes, alone on the machine: budgets of encoding and decoding, and probes.
TIMING_S = 0.35

Part = tuple[str, ...]


def parts_of(cell: Cell) -> dict[Part, float]:
    """Return what a cell needs, by what tells it from the needs of other cells, in wall seconds.

    A training is shared by cells of one model, regime and seed; quantizing and evaluating by those
    of one recipe; the file and its timing are the cell's own.
    """
    model, recipe, seed = cell.model.item, cell.recipe, str(cell.seed)
    millions = model.weights_hint / 1e6
    found: dict[Part, float] = {}
    if model.plan is not None:
        for depth, link in enumerate(recipe.links):
            if recipe.trains_at(depth):
                own = 0.0 if link.name == "plain" else REGIME_OVERHEAD
                own += TEACHER_OVERHEAD if link.item.course.distil else 0.0
                steps = link.item.plan(model.plan).steps
                training = steps * model.step_hint_s * (1 + own) + 2 * model.evaluate_hint_s
                chain = "+".join(before.text for before in recipe.links[: depth + 1])
                found["train", cell.model.text, chain, seed] = training / PARALLEL
    quantizing = recipe.quantiser.item.hint_s * millions
    found["recipe", cell.model.text, recipe.text, seed] = (
        model.evaluate_hint_s + quantizing
    ) / PARALLEL
    compressing = CELL_S + SLOW_CODECS_S.get(cell.codec.name, CODEC_S) * millions
    found["cell", str(cell)] = compressing / PARALLEL + TIMING_S
    return found


def estimate_s(cells: Sequence[Cell]) -> float:
    """Return the seconds that the cells may take on two cores."""
    parts: dict[Part, float] = {}
    for cell in cells:
        parts |= parts_of(cell)
    return sum(parts.values())


class Countdown:
    """What is left of some cells, corrected by how the hints did so far."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left: dict[Part, float] = {}
        for cell in cells:
            self._left |= parts_of(cell)
        self._total_s = sum(self._left.values())
        self._started = time.monotonic()

    def finished(self, cell: Cell) -> None:
        """Take off what a finished cell needed."""
        for part in parts_of(cell):
            self._left.pop(part, None)

    def left_s(self) -> float:
        """Return the seconds that are left, by the pace of what is done."""
        left = sum(self._left.values())
        done = self._total_s - left
        pace = (time.monotonic() - self._started) / done if done > 60 else 1.0
        return left * min(max(pace, 0.2), 5.0)

    def spelled(self) -> str:
        """Return `about 9 min left, until 14:52`."""
        left = self.left_s()
        end = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=left)
        return f"about {spell_seconds(left)} left, until {end:%H:%M}"


def spell_seconds(seconds: float) -> str:
    """Return `45 s`, `3 min` or `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
