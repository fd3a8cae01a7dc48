"""Updates whose decoder is given the base: which way to make one takes the fewest bytes.

They are compared with one another only: a file that holds everything is another track.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import PLAIN
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.statistics import Interval

#: First link of a recipe -> the way to make an update that it stands for.
WAYS = {
    PLAIN: "compressed after training",
    "delta-q": "trained to be small",
    "lora-q": "trained to be small",
    "lora": "LoRA",
    "bitfit": "BitFit",
    "diff-pruning": "diff pruning",
}
AFTER, TRAINED = WAYS[PLAIN], WAYS["delta-q"]

#: Bytes of models that the sizes of updates are extrapolated to.
MODELS = {"0.1 GB": 1e8, "1 GB": 1e9, "10 GB": 1e10, "100 GB": 1e11}


@dataclass(frozen=True, slots=True)
class Best:
    """The smallest update of one way within the tolerance, or why there is none.

    saving: share of bits that the update trained to be small saves against it, over seeds.
    """

    model: str
    way: str
    line: Line | str
    candidates: int
    saving: Interval | None = None


def way_of(line: Line) -> str:
    """Return which way an update was made."""
    name = line.first.regime.partition(":")[0]
    return WAYS.get(name, name)


def models(results: Results) -> list[str]:
    """Return the models with an update, by name."""
    return list(dict.fromkeys(block.model for block in results.update_blocks))


def best(results: Results, model: str) -> list[Best]:
    """Return the smallest update of each way at equal quality, the smallest way first."""
    by_way: dict[str, list[Line]] = {}
    for line in results.update_lines(model):
        by_way.setdefault(way_of(line), []).append(line)
    winners = {way: equal_accuracy.smallest_kept(lines) for way, lines in by_way.items()}
    trained = winners.get(TRAINED)
    found = []
    for way, winner in winners.items():
        saving = None
        if isinstance(trained, Line) and isinstance(winner, Line) and way != TRAINED:
            saving = equal_accuracy.saving(trained, winner)
        found.append(Best(model, way, winner, len(by_way[way]), saving))
    return sorted(found, key=_bits)


def extrapolated(line: Line) -> dict[str, float]:
    """Return the bytes of an update of models of other sizes, at the same bits per parameter.

    bytes = bits per parameter / native bits of a parameter * bytes of the model
    """
    share = 1 / (line.mean(lambda row: row.ratio_to_native) or 1.0)
    return {name: share * size for name, size in MODELS.items()}


def _bits(found: Best) -> float:
    return found.line.bits if isinstance(found.line, Line) else float("inf")


def smallest(found: Sequence[Best]) -> Line | None:
    """Return the smallest update of all ways."""
    lines = [each.line for each in found if isinstance(each.line, Line)]
    return min(lines, key=lambda line: line.bits, default=None)
