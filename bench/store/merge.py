"""Results of several machines in one place. Records have the same keys wherever they are made."""

from __future__ import annotations

from dataclasses import dataclass

from slashbench.bench.store.store import Store
from slashbench.errors import UsageError
from slashbench.record import AnyRecord, CheckpointRecord, CompressRecord


@dataclass(slots=True)
class Merged:
    """What came over."""

    records: int = 0
    artifacts: int = 0
    known: int = 0  # records that were there already, as good or better


def merge(source: Store, target: Store) -> Merged:
    """Take what `target` lacks: records, and the artifacts they name.

    Of two records of one key a good one stands against a failed one; else that which is there.
    Artifacts go first, so that no record is ever without its own.
    """
    found = Merged()
    for record in source.every():
        there = target.get(type(record), record.key)
        if there is not None and (there.status == "ok" or record.status == "failed"):
            found.known += 1
            continue
        found.artifacts += _take_artifact(record, source, target)
        target.put(record)
        found.records += 1
    return found


def check_source(source: Store) -> None:
    """Raises UsageError where there are no records to take."""
    if not source.holds_any():
        raise UsageError(f"{source.where} has no records; give a results folder, or its URL")


def _take_artifact(record: AnyRecord, source: Store, target: Store) -> bool:
    if not isinstance(record, CheckpointRecord | CompressRecord) or not record.artifact_sha256:
        return False
    path = source.find_artifact(record.artifact_sha256)
    if path is None or target.find_artifact(record.artifact_sha256) is not None:
        return False
    target.put_artifact(path.read_bytes())
    return True
