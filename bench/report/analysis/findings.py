"""What the records say, in sentences. Each rule below makes one from numbers, or none.

Rules
-----
training     smallest file of each side at equal quality, on each model that has both sides
bits         fewest bits a parameter within the tolerance, over models
smallest     the codec of integers that is ranked first, against the second, on cells of both
fastest      the codec that decodes fastest, against the smallest
after        the quantiser that makes the smallest post-training file at equal quality
update       given the base: the way that makes the smallest update, against the next
lossless     the lossless codec ranked first, against native bytes and the second
failed       how many cells failed: always said where there are any
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from slashbench.bench.report.analysis import equal_accuracy, updates
from slashbench.bench.report.analysis.equal_accuracy import Contest
from slashbench.bench.report.analysis.short_names import spoken
from slashbench.bench.report.analysis.standings import decoding, duel, standings
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.ties import CLOCK

MOST = 6  # sentences
NAMED = 3  # models that a sentence names
REASON = 240  # characters of a failure's reason


def findings(results: Results, most: int = MOST) -> list[str]:
    """Return up to `most` sentences, the most telling first; failures are always among them."""
    rules: Sequence[Callable[[Results], str | None]] = (
        training, bits, update, smallest, fastest, after, lossless,
    )  # fmt: skip
    said = [text for rule in rules if (text := rule(results)) is not None]
    broken = failed(results)
    if broken is None:
        return said[:most]
    return [*said[: most - 1], broken]


def training(results: Results) -> str | None:
    """Compare compression while training with compression after it, at equal quality."""
    found = contests(results)
    both = [contest for contest in found if contest.saving is not None]
    if not both:
        if not any(equal_accuracy.split(results.lines(model))[0] for model in results.models):
            return None
        return "No model has both a training-time and a post-training file within its tolerance."
    better, worse, unclear = [], [], []
    for contest in both:
        saving = contest.saving
        assert saving is not None
        if saving.low is not None and saving.high is not None and saving.low <= 0 <= saving.high:
            unclear.append(contest)
        elif saving.estimate > 0:
            better.append(contest)
        else:
            worse.append(contest)
    parts = []
    if better:
        parts.append(f"takes fewer bits than after it on {_savings(better, +1)}")
    if worse:
        parts.append(f"takes {'' if better else 'no fewer, but '}more on {_savings(worse, -1)}")
    if unclear:
        parts.append(f"shows no clear difference on {_list([c.model for c in unclear])}")
    return f"At equal quality, compression while training {'; it '.join(parts)}."


def bits(results: Results) -> str | None:
    """Say how few bits a parameter takes within the tolerance."""
    least: dict[str, Line] = {}
    for contest in contests(results):
        lines = [
            line
            for line in (contest.training_time, contest.post_training)
            if isinstance(line, Line)
        ]
        if lines:
            least[contest.model] = min(lines, key=lambda line: line.bits)
    if not least:
        return None
    order = sorted(least, key=lambda model: least[model].bits)
    low, high = order[0], order[-1]
    text = f"Within its tolerance a parameter of {low} takes {least[low].bits:.2f} bits"
    if high != low:
        text += f", of {high} {least[high].bits:.2f}"
        rest = len(order) - 2
        text += f", of {rest} other{'s' * (rest > 1)} between" if rest else ""
    doubtful = [model for model in (low, high) if least[model].in_doubt]
    if doubtful:
        text += f" (in doubt for {_list(list(dict.fromkeys(doubtful)))}: the interval goes beyond)"
    return text + "."


def smallest(results: Results) -> str | None:
    """Compare the codec of integers that is ranked first with the second."""
    return _first(results, False, "integers")


def fastest(results: Results) -> str | None:
    """Compare the codec that decodes integers fastest with the smallest one."""
    rows = [row for row in results.rows if not row.lossless]
    sizes = standings(rows, _bits)
    clocked = [row for row in rows if row.machine and row.machine == results.machines[0]]
    times = decoding(clocked)
    if sizes is None or times is None or len(times.standings) < 2:
        return None
    first, small = times.standings[0], sizes.standings[0].codec
    if first.codec == small:
        return f"`{small}` is the smallest codec and decodes fastest as well."
    against = duel(clocked, first.codec, small, lambda row: row.decode_s)
    size = duel(rows, first.codec, small, _bits)
    if against is None or size is None or against.ratio >= 1 / (1 + CLOCK):
        return None
    larger = f"{_percent(size.ratio - 1)} larger" if size.ratio > 1 else "no larger"
    return (
        f"`{first.codec}` decodes fastest: {1 / against.ratio:.2g} times as fast as the smallest, "
        f"`{small}`, from files that are {larger}."
    )


def after(results: Results) -> str | None:
    """Say which quantiser makes the smallest post-training file at equal quality."""
    won: Counter[str] = Counter()
    families = set()
    for contest in contests(results):
        _, post = equal_accuracy.split(results.lines(contest.model))
        families |= {spoken(line.first.quantiser) for line in post}
        if isinstance(contest.post_training, Line):
            won[spoken(contest.post_training.first.quantiser)] += 1
    if len(families) < 2 or not won:
        return None
    (best, times), models = won.most_common(1)[0], sum(won.values())
    if list(won.values()).count(times) > 1:
        return None  # nobody is ahead
    return (
        f"After training, {best} makes the smallest file at equal quality on {times} of {models} "
        f"model{'s' * (models > 1)}, of {len(families)} kinds of quantiser that were run."
    )


def update(results: Results) -> str | None:
    """Say which way makes the smallest update of a model whose decoder has the base."""
    said = []
    for model in updates.models(results)[:NAMED]:
        kept = [b for b in updates.best(results, model) if isinstance(b.line, Line)]
        if not kept:
            continue
        first = kept[0].line
        assert isinstance(first, Line)
        doubt = " (in doubt: its interval goes beyond)" if first.in_doubt else ""
        text = (
            f"{model} takes {first.bits:.2g} bits a parameter{doubt}, by an update "
            f"{_way(kept[0].way)}"
        )
        if len(kept) > 1 and isinstance(kept[1].line, Line):
            less = equal_accuracy.saving(first, kept[1].line)
            text += f"; {_percent(less.estimate)} less than {_way(kept[1].way)}"
        said.append(text)
    return f"Given its base, {_list(said)}." if said else None


def _way(way: str) -> str:
    return way if way in (updates.AFTER, updates.TRAINED) else f"by {way}"


def lossless(results: Results) -> str | None:
    """Compare the lossless codec that is ranked first with native bytes and the second."""
    return _first(results, True, "native floats")


def failed(results: Results) -> str | None:
    """Say how many cells failed, and why the first did."""
    last = {(r.model, r.recipe, r.codec, r.seed): r for r in _by_time(results.every_row)}
    broken = [row for row in last.values() if row.status == "failed"]
    if not broken:
        return None
    where = _list(sorted({row.model for row in broken}))
    reason = " ".join(broken[0].reason.split())
    if len(reason) > REASON:
        reason = f"{reason[:REASON].rpartition(' ')[0] or reason[:REASON]} ..."
    return (
        f"{len(broken):,} of {len(last):,} cells failed, on {where} (board `coverage`); the first: "
        f"{reason}"
    )


def contests(results: Results) -> list[Contest]:
    """Return each model's smallest file of either side at equal quality."""
    return [equal_accuracy.best(model, results.lines(model)) for model in results.models]


def native_share(rows: Sequence[Row], codec: str) -> float | None:
    """Return geometric mean of a lossless codec's file over the native bytes."""
    shares = [
        math.log(1 / row.ratio_to_native)
        for row in rows
        if row.codec == codec and row.status == "ok" and row.ratio_to_native
    ]
    return math.exp(math.fsum(shares) / len(shares)) if shares else None


def _first(results: Results, is_lossless: bool, what: str) -> str | None:
    rows = [row for row in results.rows if row.lossless == is_lossless]
    board = standings(rows, _bits)
    if board is None:
        return None
    first = board.standings[0]
    share = native_share(rows, first.codec) if is_lossless else None
    size = "" if share is None else f", {_percent(share)} of the native bytes"
    if len(board.standings) == 1:
        return f"`{first.codec}` is the only codec of {what} that is ranked{size}."
    second = board.standings[1]
    tied = [s.codec for s in board.standings if s.place == first.place]
    if len(tied) > 1:
        names = _list([f"`{codec}`" for codec in tied])
        return f"{names} make the smallest files of {what}{size}, all of one size."
    text = (
        f"`{first.codec}` makes the smallest files of {what}{size}: smallest in {first.wins} of "
        f"{board.common} cells"
    )
    met = duel(rows, first.codec, second.codec, _bits)
    if met is None or met.ratio >= 1:
        return text + "."
    return (
        f"{text}, smaller than `{second.codec}` in {met.wins} of {met.cells}, by "
        f"{_percent(1 - met.ratio)} on average."
    )


def _bits(row: Row) -> float | None:
    return row.bits_per_parameter


def _by_time(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.measured_at)


def _savings(found: Sequence[Contest], sign: int) -> str:
    """Return models and how many bits are saved on each, the most first; or how many models."""
    saved = {c.model: sign * c.saving.estimate for c in found if c.saving is not None}
    single = {c.model for c in found if c.saving is not None and c.saving.low is None}
    order = sorted(saved, key=lambda model: -saved[model])
    if len(order) <= NAMED:
        seeds = {model: ", one seed" if model in single else "" for model in order}
        return _list([f"{model} ({_percent(saved[model])}{seeds[model]})" for model in order])
    first, last = order[0], order[-1]
    return (
        f"{len(order)} models, from {_percent(saved[last])} ({last}) to {_percent(saved[first])} "
        f"({first})"
    )


def _percent(share: float) -> str:
    """Return a share in percent with two significant digits; whole numbers in full."""
    percent = 100 * share
    digits = 0 if abs(percent) >= 10 else 1 if abs(percent) >= 1 else 2
    return f"{percent:.{digits}f} %"


def _list(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`; beyond NAMED how many there are."""
    if len(words) > NAMED:
        return f"{', '.join(words[: NAMED - 1])} and {len(words) - NAMED + 1} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
