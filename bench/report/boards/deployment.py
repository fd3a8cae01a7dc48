"""Time to load: bytes over bandwidth, and then decoding."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, number

#: What a file comes over, and bytes a second.
LINKS = {
    "100 Mbit/s": 12.5e6,
    "1 Gbit/s": 125e6,
    "SATA disk": 550e6,
    "NVMe disk": 3.5e9,
    "RAM": 10e9,
}


def section(results: Results) -> Section:
    """Build the board: for each model and recipe, the codec that loads soonest over each link."""
    rows = []
    for block in results.blocks:
        lines = [line for line in block.lines if not line.first.bound and line.clocks]
        if lines:
            rows.append((block.model, block.recipe, *(_best(lines, b) for b in LINKS.values())))
    return Section(
        "deployment",
        "Time to load",
        "File bytes over the bandwidth, then decoding on one thread: milliseconds, the codec that "
        "is ready first, and how many times as fast that is as reading the native checkpoint "
        f"without any decoding.{shown_machine(results)}",
        [Table("Soonest to load", "", ("model", "recipe", *LINKS), rows)] if rows else [],
    )


def load_s(line: Line, bandwidth: float) -> float:
    """Return the seconds to read a file at so many bytes a second, and to decode it."""
    return (line.mean(lambda r: r.file_bytes) or 0.0) / bandwidth + (_decode_s(line) or 0.0)


def _best(lines: list[Line], bandwidth: float) -> str:
    best = min(lines, key=lambda line: load_s(line, bandwidth))
    seconds = load_s(best, bandwidth)
    row = best.first
    native = (row.ratio_to_native or 0.0) * (row.bits_per_parameter or 0.0)
    plain = native * (row.n_parameters or 0) / 8 / bandwidth
    return f"{1000 * seconds:.3g} {row.codec} {number(plain / seconds, 2)}x"


def _decode_s(line: Line) -> float | None:
    return line.clock(lambda r: r.decode_s)


def shown_machine(results: Results) -> str:
    """Return which machine speeds are of, where there are several."""
    if len(results.machines) < 2:
        return ""
    return f" Speeds are of machine {results.machines[0]}, which timed the most cells."
