"""The board of `bench speed`: code length and speed, as ratios to peers of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from slashbench.bench.report.tables import NOTHING, Table, number
from slashbench.record import Samples, Speed, Speeds

LEGEND = """\
M/s: million values a second, median of the rounds · x: times as fast as that codec, median of the \
ratios round by round · over entropy: code length over the order-0 entropy per tensor"""


def table(speeds: Sequence[Speed], against: Sequence[str], one_thread: Sequence[Speed]) -> Table:
    """Return the board of one sample under one number of threads, the shortest code first.

    against: codecs, by their spelling, to whose speed all are compared; those not measured are
    passed over. one_thread: the same on one thread, for the gain of more; empty for none.
    """
    first = speeds[0]
    by_name = {speed.codec: speed for speed in speeds}
    alone = {speed.codec: speed for speed in one_thread}
    peers = [name for name in against if name in by_name]
    columns = ["codec", "bits/value", "over entropy", "enc M/s", "dec M/s"]
    for peer in peers:
        columns += [f"enc x {peer}", f"dec x {peer}"]
    columns += ["enc x 1 thread", "dec x 1 thread"] if alone else []
    columns.append("rounds")
    rows = []
    for speed in sorted(speeds, key=lambda s: s.stream_bytes):
        row = [
            speed.codec,
            number(8 * speed.stream_bytes / speed.n_values, 4),
            _over(speed),
            number(_rate(speed.n_values, speed.encode), 0),
            number(_rate(speed.n_values, speed.decode), 0),
        ]
        others = [by_name[peer] for peer in peers] + ([alone[speed.codec]] if alone else [])
        for other in others:
            row += [
                number(ratio(speed.encode, other.encode), 2),
                number(ratio(speed.decode, other.decode), 2),
            ]
        row.append(str(len(speed.encode.wall_ns)))
        rows.append(tuple(row))
    threads = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
    bound = "" if first.bound_bits is None else f" · {first.bound_bits / first.n_values:.4f} bits"
    return Table(
        title=f"{first.data} · {threads}",
        about=f"{first.n_values:,} values, {first.native_bytes / 1e6:.1f} MB{bound}",
        columns=tuple(columns),
        rows=rows,
    )


def boards(found: Speeds) -> list[Table]:
    """Return a table for each sample and number of threads."""
    groups: dict[tuple[str, int], list[Speed]] = {}
    for speed in found.speeds:
        groups.setdefault((speed.data, speed.threads), []).append(speed)
    return [
        table(speeds, found.against, groups.get((data, 1), []) if threads > 1 else [])
        for (data, threads), speeds in groups.items()
    ]


RANKING_LEGEND = """\
front ●: no codec is both smaller and faster to decode · of native: bytes over those of the \
weights as they were · enc, dec: MB/s of those, one thread, median of the rounds"""


def ranking(speeds: Sequence[Speed]) -> Table:
    """Return codecs on one sample, the smallest first, Pareto-optimal ones marked."""
    first = speeds[0]
    rows: list[tuple[str, ...]] = []
    fastest = float("inf")
    for speed in sorted(
        speeds, key=lambda s: (s.stream_bytes, statistics.median(s.decode.wall_ns))
    ):
        taken = statistics.median(speed.decode.wall_ns)
        rows.append(
            (
                "●" if taken < fastest else "",
                speed.codec,
                number(8 * speed.stream_bytes / speed.n_values, 3),
                number(100 * speed.stream_bytes / speed.native_bytes, 1) + " %",
                _over(speed),
                number(_rate(speed.native_bytes, speed.encode), 0),
                number(_rate(speed.native_bytes, speed.decode), 0),
            )
        )
        fastest = min(fastest, taken)
    return Table(
        title=first.data,
        about=f"{first.n_values:,} values, {first.native_bytes / 1e6:.1f} MB",
        columns=("front", "codec", "bits/value", "of native", "over entropy", "enc MB/s",
                 "dec MB/s"),
        rows=rows,
    )  # fmt: skip


def ratio(mine: Samples, other: Samples) -> float:
    """Return the speed-up over the other: the median over rounds, which share their noise."""
    pairs = zip(other.wall_ns, mine.wall_ns, strict=False)
    return statistics.median(b / max(a, 1) for b, a in pairs)


def _over(speed: Speed) -> str:
    if not speed.bound_bits:
        return NOTHING
    return number(100 * (8 * speed.stream_bytes / speed.bound_bits - 1), 2, sign=True) + " %"


def _rate(values: int, samples: Samples) -> float:
    return values / max(statistics.median(samples.wall_ns), 1) * 1e3
