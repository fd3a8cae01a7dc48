"""The boards as titled tables of text, for the terminal and for Markdown alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from slashbench.bench.report.equal_accuracy import (
    Contest,
    best_at_equal_accuracy,
    best_at_equal_step,
)
from slashbench.bench.report.leaderboard import Block, Line
from slashbench.bench.report.rows import Row
from slashbench.record import Provenance

NOTHING = "–"

LEGEND = """\
bits/param: bits of the whole file over all parameters (tables, headers, names and left-over \
floats included; integer buffers are not parameters) · coded: bits per coded value; embed, other: \
the same for embedding tables and for the rest · entropy: order-0 per tensor, a bound of codes \
that model no context · gap: coded over entropy · ratio: native bytes over file bytes · enc, dec: \
MB/s of native bytes, one thread, median; ! contended · codecs that noise can't tell apart share \
a rank"""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; `faint` are the indices of rows that are no contestants."""

    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    faint: frozenset[int] = frozenset()


def leaderboard(blocks: Sequence[Block]) -> list[Table]:
    """One table per recipe of each model."""
    several = (
        len({line.first.machine for b in blocks for line in b.lines if line.first.machine}) > 1
    )
    columns = ["rank", "codec", "bits/param", "coded", "embed", "other", "entropy", "gap", "ratio"]
    columns += ["enc MB/s", "dec MB/s"] + (["machine"] if several else [])
    return [
        Table(
            title=f"{block.model} · {block.recipe}",
            about=_about(block),
            columns=tuple(columns),
            rows=[_codec_row(line, several) for line in block.lines],
            faint=frozenset(i for i, line in enumerate(block.lines) if line.first.bound),
        )
        for block in blocks
    ]


def training_against_post_training(blocks: Sequence[Block]) -> list[Table]:
    """The second board: at equal accuracy, and at equal quantiser step."""
    best = best_at_equal_accuracy(blocks)
    same = best_at_equal_step(blocks)
    columns = ("model", "side", "recipe", "codec", "bits/param", "metric", "Δ", "loss", "train s",
               "steps", "saves")  # fmt: skip
    return [
        Table(
            title="Training-time against post-training compression at equal accuracy",
            about="the smallest file of each side whose loss against the plain float model is "
            "within the model's tolerance; each side chooses its step and codec, by the test data "
            "that is shown, which flatters both alike",
            columns=columns,
            rows=[row for contest in best for row in _contest_rows(contest)],
        ),
        Table(
            title="The same at equal quantiser step",
            about="each side with its best codec, whatever the loss",
            columns=columns,
            rows=[row for contest in same for row in _contest_rows(contest)],
        ),
    ]


def failures(rows: Iterable[Row]) -> Table:
    """Cells that failed, and why."""
    failed = [row for row in rows if row.status == "failed"]
    return Table(
        title="Failed cells",
        about="",
        columns=("model", "recipe", "codec", "seed", "reason"),
        rows=[(r.model, r.recipe, r.codec, str(r.seed), r.reason) for r in failed],
    )


def provenance(runs: Sequence[Provenance]) -> list[str]:
    """Machines, versions and commands behind records, one sentence each."""

    def distinct(of: Callable[[Provenance], str]) -> list[str]:
        return sorted({of(run) for run in runs})

    libraries = distinct(lambda r: ", ".join(f"{n} {v}" for n, v in sorted(r.libraries.items())))
    return [
        *distinct(
            lambda r: (
                f"machine: {r.cpu_model}, {r.cpu_count} cores, {r.platform}, Python {r.python}"
            )
        ),
        *[f"libraries: {text}" for text in libraries],
        *distinct(
            lambda r: (
                f"slashbench {r.slashbench}, commit {r.git_commit or 'unknown'}"
                f"{' with local changes' if r.git_dirty else ''}"
            )
        ),
        *distinct(lambda r: f"command: {_without_paths(r.command_line)}"),
    ]


def _without_paths(command: str) -> str:
    """A command line whose --out names no folder of this machine."""
    words = shlex.split(command)
    return shlex.join(
        "--out=DIR" if word.startswith("--out=") else ("DIR" if before == "--out" else word)
        for before, word in zip(["", *words], words, strict=False)
    )


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number as the boards print it, – where there is none."""
    if value is None:
        return NOTHING
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _about(block: Block) -> str:
    line = block.lines[0]
    row = line.first
    parts = [
        f"{row.metric} {_plus_minus(line.mean(lambda r: r.value), line.value_stderr)}",
        f"Δ to plain float {_plus_minus(line.mean(lambda r: r.delta), line.delta_stderr, True)}",
        f"float {number(line.mean(lambda r: r.float_value), 3)}",
        f"zeros {_percent(line.mean(lambda r: r.zeros))}",
        f"trained {number(line.mean(lambda r: r.train_s), 1)} s",
        f"{row.n_parameters:,} parameters" if row.n_parameters else "",
        f"{len(line.rows)} seed{'s' if len(line.rows) > 1 else ''}",
    ]
    return " · ".join(part for part in parts if part)


def _codec_row(line: Line, several_machines: bool) -> tuple[str, ...]:
    row = line.first
    mark = "!" if any(r.contended for r in line.rows) else ""
    cells = [
        "bound" if row.bound else str(line.rank),
        row.codec,
        _plus_minus(line.bits, line.bits_stderr),
        number(line.mean(lambda r: r.bits_per_coded), 3),
        number(line.mean(lambda r: r.bits_per_coded_embedding), 3),
        number(line.mean(lambda r: r.bits_per_coded_matrix), 3),
        number(line.mean(lambda r: r.entropy_bits), 3),
        _percent(line.mean(lambda r: r.gap), sign=True),
        number(line.mean(lambda r: r.ratio_to_native), 2),
        number(line.mean(lambda r: r.encode_mb_s), 0) + mark,
        number(line.mean(lambda r: r.decode_mb_s), 0) + mark,
    ]
    return tuple(cells + ([row.machine] if several_machines else []))


def _contest_rows(contest: Contest) -> list[tuple[str, ...]]:
    sides = (("post-training", contest.post_training), ("training-time", contest.training_time))
    rows = []
    for side, line in sides:
        if isinstance(line, str):
            rows.append((contest.model, side, line, *[NOTHING] * 8))
            continue
        loss = line.mean(lambda r: r.loss)
        saving = contest.saving if side == "training-time" else None
        steps = line.first.train_steps
        rows.append(
            (
                contest.model,
                side,
                line.first.recipe,
                line.first.codec,
                _plus_minus(line.bits, line.bits_stderr),
                _plus_minus(line.mean(lambda r: r.value), line.value_stderr),
                _plus_minus(line.mean(lambda r: r.delta), line.delta_stderr, True),
                number(loss, 2, True) if line.first.higher_is_better else _percent(loss, sign=True),
                number(line.mean(lambda r: r.train_s), 0),
                NOTHING if steps is None else str(steps),
                _percent(saving, sign=True),
            )
        )
    return rows


def _plus_minus(value: float | None, error: float | None, sign: bool = False) -> str:
    text = number(value, 3, sign)
    return text if value is None or not error else f"{text} ± {error:.3f}"


def _percent(value: float | None, sign: bool = False) -> str:
    return NOTHING if value is None else number(100 * value, 1, sign) + " %"
