"""Merge and publish results. A record has the same key on whatever machine it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.store import published
from slashbench.bench.store.store import Store
from slashbench.errors import UsageError
from slashbench.record import AnyRecord, CheckpointRecord, CompressRecord


@dataclass(slots=True)
class Merged:
    """What a merge copied."""

    records: int = 0
    artifacts: int = 0
    known: int = 0  # records that were there already, as good or better


def merge(source: Store, target: Store) -> Merged:
    """Copy the records that `target` lacks, and the artifacts they name.

    Of two records of one key a good one stands against a failed one; else that which is there.
    Artifacts go first, so that no record is ever without its own.
    """
    found = Merged()
    for record in source.every():
        there = target.get(type(record), record.key)
        if not _better(record, there):
            found.known += 1
            continue
        found.artifacts += _take_artifact(record, source, target)
        target.put(record)
        found.records += 1
    return found


def publish(sources: Sequence[Store], target: Store) -> int:
    """Write the records of all sources, without artifacts, into one file of `target`.

    Records of one key are chosen as `merge` does it. Records that `target` published before are
    replaced, unless it is one of the sources.

    Returns
    -------
    int
        The number of records written.

    Raises
    ------
    UsageError
        If runs keep their records in `target`: they would stand against the published ones.
    """
    if target.holds_loose():
        raise UsageError(f"{target.where} has the records of runs; publish into another folder")
    found: dict[published.Identity, tuple[AnyRecord, bytes]] = {}
    for source in sources:
        for record, line in source.lines():
            known = published.identity(record)
            if _better(record, found[known][0] if known in found else None):
                found[known] = record, line
    published.write(target.files, {known: line for known, (_, line) in found.items()})
    return len(found)


def check_source(source: Store) -> None:
    """Raise UsageError if a source has no records."""
    if not source.holds_any():
        raise UsageError(f"{source.where} has no records; give a results folder, or its URL")


def _better(record: AnyRecord, there: AnyRecord | None) -> bool:
    return there is None or (there.status == "failed" and record.status == "ok")


def _take_artifact(record: AnyRecord, source: Store, target: Store) -> bool:
    if not isinstance(record, CheckpointRecord | CompressRecord) or not record.artifact_sha256:
        return False
    path = source.find_artifact(record.artifact_sha256)
    if path is None or target.find_artifact(record.artifact_sha256) is not None:
        return False
    target.put_artifact(path.read_bytes())
    return True
