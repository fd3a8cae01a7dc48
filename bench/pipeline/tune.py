"""Search the setting of a recipe that just meets a goal, by bisection on a logarithmic scale.

Every trial is a training run of its own, cached in the results folder like any other: a search that
was stopped resumes. Metrics are on validation data; test data choose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from slashbench import selector
from slashbench.bench.pipeline.record_cache import StageFailed
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell, Request, plan
from slashbench.contracts import DEFAULT_EXECUTION, Execution, Split
from slashbench.errors import UsageError
from slashbench.record import EvaluateRecord, executed, loss_of

SPLIT: Split = "validation"


@dataclass(frozen=True)
class Goal:
    """A limit for trials: on the file, in bits per parameter, or on the loss of quality.

    Attributes
    ----------
    bits
        Most bits per parameter, of the whole file.
    loss
        Most that the metric may be worse than the plain float model's, in the metric's unit.
    """

    bits: float | None = None
    loss: float | None = None

    def __post_init__(self) -> None:
        if (self.bits is None) == (self.loss is None):
            raise UsageError("give one goal: a size in bits per parameter or a loss of the metric")


@dataclass(frozen=True)
class Trial:
    """One value of the setting with its result; `reason` says why a trial failed."""

    value: float
    recipe: str
    bits: float = math.nan
    metric: float = math.nan
    loss: float = math.nan
    meets: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """A recipe without the setting, which is varied between low and high.

    A larger value must mean a stronger recipe: fewer bits, more loss.
    """

    model: str
    recipe: str
    setting: str
    low: float
    high: float
    codec: str
    seed: int = 0
    execution: Execution = DEFAULT_EXECUTION

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise UsageError(f"between {self.low:g} and {self.high:g}: give 0 < low < high")

    def cell(self, value: float) -> Cell:
        """Return the cell with the setting at `value`. Raises UsageError for none or several."""
        texts = [str(link) for link in selector.parse_chain(self.recipe)]
        texts[self._place()] += f":{self._key}={selector.spell_value(value)}"
        return self._cell("+".join(texts))

    @property
    def _key(self) -> str:
        return self.setting.rpartition(".")[2]

    def _place(self) -> int:
        """Return which link is varied: the first, or the last one of the name that is given."""
        name = self.setting.rpartition(".")[0]
        if not name:
            return 0
        places = [at for at, lk in enumerate(selector.parse_chain(self.recipe)) if lk.name == name]
        if not places:
            raise UsageError(f"the recipe {self.recipe} has no link {name!r} to vary")
        return places[-1]

    def plain(self) -> Cell:
        """Return the cell whose float metric is the reference of losses."""
        return self._cell("plain")

    def _cell(self, recipe: str) -> Cell:
        request = Request(
            models=self.model,
            recipes=recipe,
            codecs=self.codec,
            seeds=str(self.seed),
            execution=self.execution,
        )
        cells = plan(request).cells
        if len(cells) != 1:
            raise UsageError(
                f"{len(cells)} cells in place of one: name one model, recipe and codec"
            )
        return cells[0]


def search(stages: Stages, question: Question, goal: Goal, runs: int) -> Iterator[Trial]:
    """Run trials, each in the middle of the interval that is left, and yield them."""
    baseline = stages.measure(question.plain(), SPLIT).evaluate_float
    low, high = math.log(question.low), math.log(question.high)
    for _ in range(runs):
        value = float(f"{math.exp((low + high) / 2):.3g}")
        trial = _try(stages, question.cell(value), value, baseline, goal)
        # too strong loses too much of the metric; too weak is not small enough yet
        if trial.meets == (goal.bits is None) and not trial.reason:
            low = math.log(value)
        else:
            high = math.log(value)
        yield trial


def best(trials: list[Trial], goal: Goal) -> Trial | None:
    """Return the trial that meets the goal: the weakest for a size, the strongest for a loss."""
    good = [trial for trial in trials if trial.meets]
    choose = min if goal.bits is not None else max
    return choose(good, key=lambda trial: trial.value) if good else None


def _try(stages: Stages, cell: Cell, value: float, baseline: EvaluateRecord, goal: Goal) -> Trial:
    recipe = executed(cell.recipe.text, cell.execution_text)
    try:
        measured = stages.measure(cell, SPLIT)
    except StageFailed as error:  # such as a multiplier under which all weights vanish
        return Trial(value, recipe, reason=error.reason)
    bits = 8 * measured.compress.file_bytes / measured.checkpoint.n_parameters
    metric = measured.evaluate.value
    loss = loss_of(metric, baseline.value, baseline.higher_is_better)
    meets = bits <= goal.bits if goal.bits is not None else loss <= (goal.loss or 0.0)
    return Trial(value, recipe, bits, metric, loss, meets)
