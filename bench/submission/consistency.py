"""What records say of one another: joined, their keys and sums computed again, and their origin.

Everything here is seen in the records alone. Nothing is run, and nothing can tell whether a number
that is consistent with all others was made up: re-running can.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping

from slashbench.bench.report.data.records import Joined, Records
from slashbench.bench.store import published
from slashbench.bench.store.store import Store
from slashbench.bench.submission.submission_check import SubmissionCheck, held
from slashbench.record import (
    CellRecord,
    CompressRecord,
    EvaluateRecord,
    Provenance,
    Record,
    key_of,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")

#: An absolute path: it tells who somebody is, and nobody else has it.
_FOLDER = re.compile(
    rb"(?:(?<![\w./-])|file:/*(?=/))/(?:work|tmp|root|home|mnt|opt|usr|var|Users)/"
    rb"|\b[A-Za-z]:[/\\]{1,2}Users[/\\]"
)

#: Items are kept with about seven digits, and their mean is that of what they were before.
_ROUNDING = 1e-5


def folders_named(data: bytes) -> list[str]:
    """Return the absolute paths that a text begins to name, each once, as far as they are told."""
    return sorted({match.group().decode() for match in _FOLDER.finditer(data)})


def name_of(cell: CellRecord) -> str:
    """Return how boards and messages name a cell."""
    how = f" ({cell.execution})" if cell.execution else ""
    return f"{cell.model} · {cell.recipe}{how} · {cell.codec} · seed {cell.seed}"


def published_alone(store: Store) -> SubmissionCheck:
    """Check that the folder holds one file of records, and none of a run's own."""
    loose = ["records/"] if store.holds_loose() else []
    return held(
        "published",
        f"{published.NAME} alone",
        loose,
        "publish into a folder of its own: bench publish RESULTS --out FOLDER",
    )


def joined(records: Records) -> SubmissionCheck:
    """Check that every good cell has all records that it names."""
    wrong = []
    for cell in records.cells:
        if cell.status != "ok":
            continue
        found = records.join(cell)
        lacking = [
            stage
            for stage, there in (
                ("checkpoint", cell.checkpoint in records.points),
                ("compress", cell.compress in records.sizes),
                ("evaluate", cell.evaluate in records.metrics),
                ("evaluate, float", cell.evaluate_float in records.metrics),
                ("time", found is None or found.size.bound or cell.time in records.times),
            )
            if not there
        ]
        if lacking:
            wrong.append(f"{name_of(cell)}: no record of {', '.join(lacking)}")
    return held(
        "whole",
        f"{len(records.cells)} cells with the records they name",
        wrong,
        "run these cells again and publish anew; an incomplete run resumes by the same command",
    )


def failures(records: Records) -> SubmissionCheck:
    """Check whether cells failed: a failure is a record, and a board shows it."""
    failed = [f"{name_of(c)}: {c.reason}" for c in records.cells if c.status != "ok"]
    if not failed:
        return SubmissionCheck("failures", "passed", f"none of {len(records.cells)} cells failed")
    return SubmissionCheck(
        "failures",
        "unclear",
        f"{len(failed)} cells failed, as their records say",
        "fine if the reason lies in the codec or recipe; else --on-existing failed",
        failed,
    )


def hashes(records: Records) -> SubmissionCheck:
    """Check keys and hashes that follow from others, of every good cell."""
    wrong = [
        f"{name_of(found.cell)}: {what}" for found in records.joined() for what in _unlike(found)
    ]
    return held(
        "hashes",
        f"{len(records.cells)} cells",
        wrong,
        "records were edited or mixed; publish again from the results folder of the run",
    )


def _unlike(found: Joined) -> Iterator[str]:
    cell, size = found.cell, found.size
    if found.timing is not None:
        machine = found.timing.machine
        if found.timing.key != key_of("time", compress=cell.compress, machine=machine):
            yield "the key of its timing is not that of this file on this machine"
        if cell.key != key_of("cell", compress=cell.compress, machine=machine):
            yield "its key is not that of this file on this machine"
    if size.weights_sha256 != found.decoded.weights_sha256:
        yield "the metric is of other weights than those decoded from the file"
    if found.floats is not None and found.floats.weights_sha256 != found.point.weights_sha256:
        yield "the float metric is of other weights than the checkpoint's"
    for what, sha256 in (
        ("the file", "" if size.bound else size.artifact_sha256),
        ("the decoded weights", size.weights_sha256),
        ("the checkpoint", found.point.weights_sha256),
    ):
        if not _SHA256.fullmatch(sha256) and not (size.bound and what == "the file"):
            yield f"no SHA-256 of {what}"


def sizes(records: Records) -> SubmissionCheck:
    """Check that the parts of every file add up to it, and its tensors to the model."""
    parameters = {
        cell.compress: records.points[cell.checkpoint].n_parameters
        for cell in records.cells
        if cell.checkpoint in records.points and not cell.given_base
    }
    files = [size for size in records.sizes.values() if size.status == "ok"]
    wrong = [
        f"{size.model} · {size.recipe} · {size.codec} · seed {size.seed}: {what}"
        for size in files
        for what in _uncounted(size, parameters.get(size.key))
    ]
    return held(
        "sizes",
        f"{len(files)} files, counted again",
        wrong,
        "the size of a file is the sum of its ledger; publish the records as the run wrote them",
    )


def _uncounted(size: CompressRecord, parameters: int | None) -> Iterator[str]:
    if not size.bound:
        total = sum(size.ledger.values())
        if total != size.file_bytes:
            yield f"its ledger sums to {total} bytes, the file has {size.file_bytes:.0f}"
        streams = sum(tensor.n_bytes for tensor in size.tensors)
        if streams > size.file_bytes:
            yield f"its tensors take {streams} bytes, more than the file"
    there = sum(tensor.n for tensor in size.tensors if tensor.kind != "buffer")
    if parameters is not None and there != parameters:
        yield f"its tensors hold {there} parameters, the model has {parameters}"


def metrics(records: Records) -> SubmissionCheck:
    """Check mean and standard error of every metric against its items."""
    found = [m for m in records.metrics.values() if m.status == "ok"]
    wrong = [
        f"{metric.model} · {metric.split} · weights {metric.weights_sha256[:12]}: {what}"
        for metric in found
        for what in _misjudged(metric)
    ]
    return held(
        "metrics",
        f"{len(found)} metrics, computed again from their items",
        wrong,
        "publish the records as the run wrote them",
    )


def _misjudged(metric: EvaluateRecord) -> Iterator[str]:
    items = metric.per_item
    if len(items) != metric.n:
        yield f"{len(items)} items are kept of {metric.n}"
    if not items:
        return
    mean = math.fsum(items) / len(items)
    near = _ROUNDING * max(abs(metric.value), max(map(abs, items)))
    if abs(mean - metric.value) > near:
        yield f"the mean of its items is {mean:.7g}, not {metric.value:.7g}"
    if len(items) > 1 and metric.stderr is not None:
        error = statistics.stdev(items) / math.sqrt(len(items))
        if abs(error - metric.stderr) > near:
            yield f"the standard error of its items is {error:.4g}, not {metric.stderr:.4g}"


def origin(store: Store) -> list[SubmissionCheck]:
    """Check that every record says where, when and with what it was made."""
    lacking: Counter[str] = Counter()
    dirty, commits, machines, count = 0, set(), set(), 0
    for record in store.every():
        count += 1
        made = record.provenance
        lacking.update(_unsaid(made))
        dirty += made.git_dirty is True
        commits.add((made.git_commit or "unknown")[:12])
        machines.add(f"{made.cpu_model}, {made.cpu_count} cores")
    said = f"{count} records; {', '.join(sorted(machines))}; commit {', '.join(sorted(commits))}"
    whole = held(
        "provenance",
        said,
        [f"{what} is not said in {n} records" for what, n in lacking.items()],
        "run from a clone of the repository, so that records name a commit",
    )
    if not dirty:
        return [whole, SubmissionCheck("clean code", "passed", "no record is of edited code")]
    return [
        whole,
        SubmissionCheck(
            "clean code",
            "unclear",
            f"{dirty} of {count} records were made by code with local changes",
            "commit, then run these cells again; until then only a re-run vouches for them",
        ),
    ]


def _unsaid(made: Provenance) -> Iterator[str]:
    there: Mapping[str, object] = {
        "the time": made.measured_at,
        "the command": made.command_line,
        "the commit": made.git_commit,
        "the machine": made.cpu_model,
        "the versions of libraries": made.libraries,
        "the version of slashbench": made.slashbench,
    }
    return (what for what, value in there.items() if not value)


def private(store: Store) -> SubmissionCheck:
    """Check that records name no folder of the machine that they were made on."""
    wrong = [
        f"{_stage(record)} {record.key[:12]}: {', '.join(folders)}..."
        for record, line in store.lines()
        if (folders := folders_named(line))
    ]
    return held(
        "no folders",
        "no record names a folder of the machine",
        wrong,
        "run with today's slashbench, which records commands without folders",
    )


def split(records: Records) -> SubmissionCheck:
    """Check that what boards show is measured on test data."""
    wrong = [
        f"{name_of(found.cell)}: measured on {found.decoded.split} data"
        for found in records.joined()
        if found.decoded.split != "test"
    ]
    return held(
        "test data",
        f"the metrics of {len(records.cells)} cells are of test data",
        wrong,
        "cells are made by bench run; what bench tune measures is no cell",
    )


def choices(records: Records) -> SubmissionCheck:
    """Say what records show of how settings were chosen; they never show all of it."""
    settings: dict[tuple[str, str], set[str]] = {}
    for cell in records.cells:
        links = "+".join(link.partition(":")[0] for link in cell.recipe.split("+"))
        settings.setdefault((cell.model, links), set()).add(cell.recipe)
    (model, links), most = max(
        settings.items(), key=lambda item: len(item[1]), default=(("", ""), set())
    )
    trials = Counter(m.model for m in records.metrics.values() if m.split == "validation")
    said = (
        "; ".join(f"{n} metrics of {model} on validation data" for model, n in trials.items())
        or "no metric on validation data"
    )
    if len(most) > 1:
        said += f"; at most {len(most)} settings of one recipe on test data ({model} · {links})"
    return SubmissionCheck(
        "choices",
        "unclear",
        said,
        "say how settings were chosen, on which data, in how many trials. Trials that are not in "
        "the folder can't be seen. Where a board picks the best of several settings, it picks on "
        "test data",
    )


def _stage(record: Record) -> str:
    return published.stage(type(record))
