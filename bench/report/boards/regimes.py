"""Training regimes and transforms, each with its curve, next to plain training."""

from __future__ import annotations

from slashbench.bench.report.analysis.equal_accuracy import saving
from slashbench.bench.report.analysis.rate_curves import RegimeCurve, bd_rate_to, regimes
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import PLAIN
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, interval, number, percent, plus_minus


def section(results: Results) -> Section:
    """Build one table a model."""
    tables = []
    for model in results.models:
        found = regimes(model, results.lines(model))
        plain = next((regime for regime in found if regime.chain == PLAIN), None)
        if found:
            tables.append(_table(model, found, plain))
    return Section(
        "regimes",
        "Regimes",
        "Recipes without their quantiser; each quantiser is a point of the curve, with its "
        "smallest codec. bits in tolerance: the smallest point whose loss is within the model's "
        "tolerance. saves: bits against the same of plain. BD-rate: bits over plain at equal "
        "quality, averaged over the curve (quality: log-likelihood where the record has one, else "
        "the metric). It is refused, with the reason, if too few points rise or too little "
        "overlaps. float Δ: the metric before quantisation, less that of the plain float model. "
        "drift: how far training could move a weight once rounding had begun, the sum of learning "
        "rates in step sizes; moved: weights whose integer is not the one they then had.",
        tables,
    )


def _table(model: str, found: list[RegimeCurve], plain: RegimeCurve | None) -> Table:
    first = found[0].lines[0].first
    return Table(
        model,
        first.metric,
        ("regime", "seeds", "quantisers", "bits in tolerance", "saves",
         "BD-rate", "float Δ", "train s", "drift", "moved"),
        [_row(regime, plain) for regime in found],
    )  # fmt: skip


def _row(regime: RegimeCurve, plain: RegimeCurve | None) -> tuple[str, ...]:
    line = regime.lines[0]
    kept = regime.smallest()
    rival = plain.smallest() if plain else ""
    saves = NOTHING
    if regime is not plain and not isinstance(kept, str) and not isinstance(rival, str):
        saves = interval(saving(kept, rival))
    rate = NOTHING
    if plain is not None and regime is not plain:
        found = bd_rate_to(plain, regime)
        rate = found if isinstance(found, str) else interval(found)
    floats = line.mean(lambda r: None if r.float_value is None else r.float_value)
    base = line.mean(lambda r: r.baseline)
    return (
        regime.chain,
        str(len(line.rows)),
        str(len(regime.lines)),
        _bits(regime),
        saves,
        rate,
        NOTHING if floats is None or base is None else number(floats - base, 3, sign=True),
        number(line.mean(lambda r: r.train_s), 0),
        number(line.mean(lambda r: r.drift), 2),
        percent(line.mean(lambda r: r.moved)),
    )


def _bits(regime: RegimeCurve) -> str:
    line = regime.smallest()
    return NOTHING if isinstance(line, str) else plus_minus(line.bits, line.bits_stderr)
