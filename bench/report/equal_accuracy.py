"""The second board: compression while training next to compression after it, at equal accuracy.

Equal accuracy means: the loss against the plain float model is within the model's tolerance. Each
side may choose its quantiser step and its codec; the plain side is the honest rival with the
coarsest step that keeps the metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slashbench.bench.report.leaderboard import Block, Line

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Contest:
    """Both sides of one comparison; a side without a line says why."""

    model: str
    training_time: Line | str
    post_training: Line | str

    @property
    def saving(self) -> float | None:
        """Share of bits that the training-time side saves; negative when it takes more."""
        if isinstance(self.training_time, str) or isinstance(self.post_training, str):
            return None
        return 1.0 - self.training_time.bits / self.post_training.bits


def best_at_equal_accuracy(blocks: Sequence[Block]) -> list[Contest]:
    """Per model: the smallest line of each side among those that keep the accuracy."""
    contests = []
    for model in _models(blocks):
        trained, after = _split(_lines(blocks, model))
        contests.append(Contest(model, _smallest_kept(trained), _smallest_kept(after)))
    return contests


def best_at_equal_step(blocks: Sequence[Block]) -> list[Contest]:
    """Per model and quantiser that both sides ran without further steps: each one's best codec."""
    contests = []
    for model in _models(blocks):
        by_step: dict[str, list[Line]] = {}
        for line in _lines(blocks, model):
            links = line.first.recipe.split("+")
            if len(links) == 2:
                by_step.setdefault(links[1], []).append(line)
        for lines in by_step.values():
            trained, after = _split(lines)
            if trained and after:
                contests.append(Contest(model, _smallest(trained), _smallest(after)))
    return contests


def _models(blocks: Iterable[Block]) -> list[str]:
    return list(dict.fromkeys(block.model for block in blocks))


def _lines(blocks: Iterable[Block], model: str) -> list[Line]:
    return [
        line
        for block in blocks
        if block.model == model
        for line in block.lines
        if not line.first.bound
    ]


def _split(lines: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    """(training-time, post-training)."""
    sides: tuple[list[Line], list[Line]] = ([], [])
    for line in lines:
        sides[line.first.regime == PLAIN].append(line)
    return sides


def _smallest(lines: Sequence[Line]) -> Line:
    return min(lines, key=lambda line: line.bits)


def _smallest_kept(lines: Sequence[Line]) -> Line | str:
    """The smallest line that keeps the accuracy, or why there is none."""
    if not lines:
        return "none was run"
    if all(line.keeps_accuracy is None for line in lines):
        return "no plain float model was run to compare with"
    kept = [line for line in lines if line.keeps_accuracy]
    return _smallest(kept) if kept else "no recipe keeps the accuracy"
