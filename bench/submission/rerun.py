"""A sample of cells, run again and compared with what their records say.

The sample is drawn from all good cells with equal chances, so that dear ones are in it as often as
cheap ones. A drawn cell that can't be run here is not replaced by another: it is named.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from slashbench.bench.models.external.spelling import is_external
from slashbench.bench.pipeline.record_cache import StageFailed
from slashbench.bench.pipeline.stages import SPLIT, Measured, Stages
from slashbench.bench.plan.matrix import Cell, CellText
from slashbench.bench.report.data.records import Joined, Records
from slashbench.bench.store.store import Store
from slashbench.bench.submission.consistency import name_of
from slashbench.bench.submission.submission_check import SubmissionCheck
from slashbench.contracts import DEFAULT_EXECUTION
from slashbench.errors import SlashbenchError

Outcome = Literal["equal", "close", "differs", "not run"]

_SHARE = 0.02  # of the bytes: two trainings on unlike machines end that close
_STDERRS = 3.0


@dataclass(frozen=True, slots=True)
class Rerun:
    """One drawn cell, and how what it gave compares with its records."""

    name: str
    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A cell of the sample; the cell is None where it can't be run here, for the reason."""

    joined: Joined
    cell: Cell | None
    reason: str = ""


def seed_of(store: Store) -> int:
    """Return a seed that follows from the records: another for any other records."""
    digest = hashlib.sha256()
    for _, line in store.lines():
        digest.update(line)
    return int.from_bytes(digest.digest()[:4], "little")


def draw(records: Records, count: int, seed: int) -> list[Drawn]:
    """Draw cells with equal chances, in a fixed order for a seed."""
    good = {name_of(found.cell): found for found in records.joined()}
    names = random.Random(seed).sample(sorted(good), min(count, len(good)))
    return [_buildable(good[name]) for name in sorted(names)]


def run(drawn: Sequence[Drawn], stages: Stages, said: Callable[[Rerun], None]) -> list[Rerun]:
    """Run the drawn cells in a store of their own. said: is told of each as it ends."""
    made = []
    for one in drawn:
        made.append(_again(one, stages))
        said(made[-1])
    return made


def judged(found: Sequence[Rerun], seed: int, good: int) -> SubmissionCheck:
    """Return what the sample shows."""
    counts = {
        outcome: sum(one.outcome == outcome for one in found)
        for outcome in ("equal", "close", "differs", "not run")
    }
    how = f"{len(found)} of {good} cells, drawn with equal chances by seed {seed}: "
    how += ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    cases = [f"{one.name}: {one.outcome}: {one.said}" for one in found if one.outcome != "equal"]
    if counts["differs"]:
        return SubmissionCheck(
            "re-run",
            "failed",
            how,
            "check out the commit that the records name and check there; if they differ there too, "
            "the records are not of this code",
            cases,
        )
    if counts["equal"] == len(found) and found:
        return SubmissionCheck("re-run", "passed", how)
    return SubmissionCheck(
        "re-run",
        "unclear",
        how,
        "re-run them on the machine and with the versions that the records name, or install what "
        "is missing here",
        cases,
    )


def _buildable(found: Joined) -> Drawn:
    cell = found.cell
    if is_external(cell.model):
        return Drawn(found, None, "a checkpoint of the submitter's own")
    if cell.execution:
        return Drawn(found, None, f"its training is executed otherwise: {cell.execution}")
    try:
        text = CellText(cell.model, cell.recipe, cell.codec, cell.seed, DEFAULT_EXECUTION)
        return Drawn(found, text.cell())
    except SlashbenchError as error:
        return Drawn(found, None, str(error))


def _again(one: Drawn, stages: Stages) -> Rerun:
    name = name_of(one.joined.cell)
    if one.cell is None:
        return Rerun(name, "not run", one.reason)
    try:
        measured = stages.measure(one.cell, SPLIT)
    except StageFailed as error:
        return Rerun(name, "differs", f"it fails here: {error.reason}")
    return Rerun(name, *compared(one.joined, measured))


def compared(theirs: Joined, ours: Measured) -> tuple[Outcome, str]:
    """Return how a cell that was run again compares with its records, and in which numbers.

    equal: the file has the same bytes to the byte, decodes to the same weights, and the metric is
    the same within the noise of threads. close: the float weights, or integers chosen by
    calibration, are not the same bit for bit, which other processors and versions cause, and size
    and metric are near all the same.
    """
    before, after = theirs.size.file_bytes, ours.compress.file_bytes
    value, again = theirs.decoded.value, ours.evaluate.value
    noise = 2 * (theirs.floats.noise or 0.0) if theirs.floats is not None else 0.0
    near = max(noise, 1e-5 * abs(value))
    said = f"{before:.0f} bytes, here {after:.0f}; metric {value:.6g}, here {again:.6g}"
    same_floats = theirs.point.weights_sha256 == ours.checkpoint.weights_sha256
    same_weights = theirs.size.weights_sha256 == ours.compress.weights_sha256
    if before == after and same_weights:
        return ("equal" if abs(value - again) <= near else "differs"), said
    if same_floats and not theirs.size.calibration_sha256:
        return "differs", f"{said}; from the same float weights"
    allowed = max(near, theirs.cell.tolerance, _STDERRS * (theirs.decoded.stderr or 0.0))
    close = abs(before - after) <= _SHARE * before and abs(value - again) <= allowed
    why = "integers chosen by calibration" if same_floats else "the float weights"
    return ("close" if close else "differs"), f"{said}; {why} are not the same here"
