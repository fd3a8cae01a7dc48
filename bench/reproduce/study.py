"""What a study hands to the report, and how all of them write numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slashbench import selector
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.report.sections import Figure, Section
from slashbench.bench.report.tables import NOTHING, Table
from slashbench.bench.reproduce.claims import Claim, Sample, estimate
from slashbench.bench.reproduce.evidence import GRADIENT, PLAIN, Evidence, Method

Rows = list[tuple[str, ...]]

#: The paper's coders -> ours; the last is the one it does not try.
CODERS = {"FL": "pack", "EG": "exp-golomb:k=0", "HM": "huffman", "rANS": "rans"}

#: Model -> lambda of the BackSlash model that is coded, rounded and pruned further: what validation
#: data prefer (`tuned` in bench/models).
CHOSEN = {"digits-mlp": 20.0, "kjv-gpt": 20.0, "minilm-kjv": 200.0}


@dataclass(frozen=True, slots=True)
class Study:
    """One figure or table of the paper: tables and charts of what was found, and the claims."""

    name: str
    title: str
    about: str
    parts: Sequence[Table | Figure | str]
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper and what is run, shown and judged of it.

    openings: sections before the studies. afterwards: what is done with the cells of a model, and
    the stages that made them, when all of them are done.
    """

    title: str
    about: str
    openings: Sequence[Callable[[], Section]]
    studies: Sequence[Callable[[Evidence], Study]]
    afterwards: Callable[[Sequence[Cell], Stages], None]


def chosen(evidence: Evidence, model: str) -> Method | None:
    """Return the BackSlash model of that name, if it was run."""
    lam = CHOSEN.get(selector.parse(model).name)
    return next((m for m in evidence.methods(model) if m.lam == lam and m != PLAIN), None)


def spelled(sample: Sample, digits: int = 2, sign: bool = False, in_percent: bool = False) -> str:
    """Spell mean and half the interval of 95 % over seeds, as tables show them."""
    if not sample:
        return NOTHING
    factor, unit = (100.0, " %") if in_percent else (1.0, "")
    found = estimate(sample)
    middle = round(factor * found.mean, digits) + 0.0  # no minus before a zero
    text = f"{middle:{'+' if sign else ''}.{digits}f}"
    if not found.half_width:
        return text + unit
    return f"{text} ± {factor * found.half_width:.{digits}f}{unit}"


def percent(share: float) -> str:
    """Spell a share as tables show it.

    >>> percent(0.638)
    '64 %'
    """
    return f"{100 * share:.0f} %"


def label(method: Method) -> str:
    """`plain` or `λ = 20`; the update where it is not the paper's Algorithm 1."""
    if method.plain:
        return "plain"
    text = f"λ = {method.lam:g}"
    return text if method.update == GRADIENT else f"{text}, {method.update}"


def paper_label(lam: float) -> str:
    """Return the label of the paper's BERT."""
    return label(Method(lam))


def per_parameter(lam: float, n_parameters: float) -> str:
    """λ / Np: what a weight feels, whatever the size of the model."""
    return f"{lam / n_parameters:.1e}" if lam else "0"
