"""train -> transform -> compress -> evaluate -> time: each stage cached by the hash of its inputs.

A stage reads its record if there is one and makes it otherwise. A lossless codec never causes
training or evaluation to run again: accuracy is keyed by the hash of the decoded weights.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

import torch

from slashbench.bench.checkpoint import sources, state_dict
from slashbench.bench.machine import locks, provenance
from slashbench.bench.pipeline import codec_timing, compress, evaluate, float_checkpoint, keys
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.pipeline.quantized import Prepared, prepare
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.codecs.base import Bound
from slashbench.contracts import Calibration, Reference, Split, Transform, Weights
from slashbench.errors import CorruptFile, StageBusy, StoreUnusable, VerificationMismatch
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Provenance,
    Record,
    TimeRecord,
)
from slashbench.trainers.training import loop

OnExisting = Literal["missing", "failed", "always"]

R = TypeVar("R", bound=Record)
T = TypeVar("T")

SPLIT: Split = "test"

_PAUSE_S = 1.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # says nothing about a cell


class StageWatcher(Protocol):
    """Progress callbacks of one process."""

    def stage(self, cell: Cell, name: str) -> None:
        """A stage of `cell` starts to do work (a cached one is never announced)."""

    def progress(self, fraction: float, text: str) -> None:
        """It has done this fraction of the stage, 0 to 1."""


class StageFailed(Exception):
    """A stage failed; its record says why."""

    def __init__(self, reason: str, mismatch: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mismatch = mismatch


@dataclass(frozen=True, slots=True)
class Measured:
    """The records of a cell, but for timing."""

    checkpoint: CheckpointRecord
    compress: CompressRecord
    evaluate_float: EvaluateRecord  # of the checkpoint
    evaluate: EvaluateRecord  # of what is decoded from the file


class _Last(Generic[T]):
    """The last thing made, which neighbouring cells share."""

    def __init__(self) -> None:
        self._kept: tuple[object, T] | None = None

    def of(self, identity: object, make: Callable[[], T]) -> T:
        """Return what has this identity; the last one is freed before another is made."""
        if self._kept is None or self._kept[0] != identity:
            self._kept = None
            self._kept = identity, make()
        return self._kept[1]


class Stages:
    """Make the records of cells in one store, each once.

    Other processes may work on the same cells: what one of them is making raises StageBusy here.

    Parameters
    ----------
    run
        Name of the run, which its records carry. What others made is made again where `on_existing`
        says so; what any process of this run made stands. Times would not do: clocks are put back.
    machine
        Where cells are timed, if not here.
    command
        The command that asks for all this, if it is not this process's own.

    Attributes
    ----------
    patient
        Timing raises StageBusy while others are at work on the machine; else the times that are
        taken then are marked as contended.
    """

    def __init__(
        self,
        store: Store,
        on_existing: OnExisting,
        watcher: StageWatcher,
        *,
        run: str = "",
        machine: str = "",
        command: str = "",
    ) -> None:
        self.store = store
        self.on_existing = on_existing
        self.watcher = watcher
        self.name = run or f"slashbench-{uuid.uuid4().hex[:12]}"
        self.machine = machine or provenance.machine()
        self.command = command
        self.patient = False
        self._weights: _Last[Weights] = _Last()
        self._reference: _Last[Reference] = _Last()
        self._prepared: _Last[Prepared] = _Last()

    # -- cells ----------------------------------------------------------------------------------

    def cached_cell(self, cell: Cell) -> CellRecord | None:
        """Return the cell's record, if it and those it is made of need not be made again."""
        found = self._cached(CellRecord, keys.cell_key(cell, self.machine))
        if found is None or found.status == "failed":
            return found
        parts: tuple[tuple[type[Record], str], ...] = (
            (CheckpointRecord, found.checkpoint),
            (CompressRecord, found.compress),
            (EvaluateRecord, found.evaluate_float),
            (EvaluateRecord, found.evaluate),
            (TimeRecord, found.time),
        )
        whole = all(self.store.holds(kind, key) for kind, key in parts if key)
        return found if whole else None

    def cell_record(self, cell: Cell) -> CellRecord | None:
        """Return the cell's record, whichever run made it."""
        return self.store.get(CellRecord, keys.cell_key(cell, self.machine))

    def cached(self, kind: type[Record], key: str) -> bool:
        """Return whether a record need not be made again; a failed one is as good."""
        try:
            return self._cached(kind, key) is not None
        except StageFailed:
            return True

    def run(self, cell: Cell) -> CellRecord:
        """Run what is missing of one cell. A failure becomes a record with its reason.

        A record that another process made meanwhile stands.

        Raises
        ------
        StageBusy
            Where another process is making a part of it.
        StoreUnusable
            When the results can't be written.
        VerificationMismatch
            When the decoded weights are not those that were encoded.
        """
        record = self._run(cell, timed=True)
        assert record is not None
        return record

    def run_untimed(self, cell: Cell) -> CellRecord | None:
        """Run what is missing of one cell but its timing; None where that is all it lacks."""
        return self._run(cell, timed=False)

    def _run(self, cell: Cell, timed: bool) -> CellRecord | None:
        if (found := self.cached_cell(cell)) is not None:
            return found
        started = time.perf_counter()
        made: Fields = {}
        try:
            measured = self._measured(cell, SPLIT, made)
            if not measured.compress.bound:
                if not timed:
                    return None
                made["time"] = self.time(cell, measured.checkpoint, measured.compress).key
        except StageFailed as error:
            return self._conclude(cell, made, started, error)
        return self._conclude(cell, made, started)

    def measure(self, cell: Cell, split: Split) -> Measured:
        """Make all but the timing of a cell, on `split`; wait for what another process is making.

        Raises StageFailed with the reason where one of them failed.
        """
        while True:
            try:
                return self._measured(cell, split, {})
            except StageBusy:
                time.sleep(_PAUSE_S)

    def decoded_metric(self, cell: Cell, split: Split) -> EvaluateRecord:
        """Evaluate what is decoded from a cell's file on `split`; artifacts are read if need be.

        Raises StageFailed with the reason where it failed.
        """

        def load() -> Weights:
            point = self.checkpoint(cell, len(cell.recipe.transforms))
            return self._decoded(cell, point, self.compress(cell, point))

        file = self._cached(CompressRecord, keys.compress_key(cell))
        if file is None:
            file = self.compress(cell, self.checkpoint(cell, len(cell.recipe.transforms)))
        return self.evaluate(cell, file.weights_sha256, load, self.checkpoint(cell, 0), split)

    def fail(self, cell: Cell, reason: str) -> CellRecord:
        """Keep a record of a cell that could not be run to an end here."""
        return self._conclude(cell, {}, time.perf_counter(), StageFailed(reason))

    def fail_checkpoint(self, cell: Cell, depth: int, reason: str) -> None:
        """Keep a record of a checkpoint that could not be made; its cells will fail for it."""
        key = keys.checkpoint_key(cell, depth)
        if not self.cached(CheckpointRecord, key):
            self.store.put(
                CheckpointRecord(
                    key=key,
                    status="failed",
                    reason=reason,
                    wall_s=0.0,
                    provenance=self._provenance(cell),
                    **keys.checkpoint_fields(cell, depth),
                )
            )

    def _measured(self, cell: Cell, split: Split, made: Fields) -> Measured:
        """Make all but the timing; add the keys of the records to `made` one by one."""
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        made["checkpoint"] = point.key
        file = self.compress(cell, point)
        made["compress"] = file.key
        trained = self.checkpoint(cell, 0)
        floats = self.evaluate(
            cell, point.weights_sha256, lambda: self._load(point), trained, split
        )
        made["evaluate_float"] = floats.key
        decoded = self.evaluate(
            cell, file.weights_sha256, lambda: self._decoded(cell, point, file), trained, split
        )
        made["evaluate"] = decoded.key
        return Measured(point, file, floats, decoded)

    def _conclude(
        self,
        cell: Cell,
        made: Fields,
        started: float,
        failure: StageFailed | None = None,
    ) -> CellRecord:
        record = CellRecord(
            key=keys.cell_key(cell, self.machine),
            status="failed" if failure else "ok",
            reason=failure.reason if failure else "",
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(cell),
            regime=cell.recipe.regime.text,
            metric=cell.model.item.metric,
            tolerance=cell.model.item.tolerance,
            code=keys.code(cell),
            **keys.cell_fields(cell),
            **made,
        )
        self.store.put(record)
        if failure is not None and failure.mismatch:
            raise VerificationMismatch(f"{cell}: {failure.reason}")
        return record

    # -- stages ---------------------------------------------------------------------------------

    def checkpoint(self, cell: Cell, depth: int) -> CheckpointRecord:
        """Make the float checkpoint after training and the first `depth` transforms."""
        key, what = keys.checkpoint_key(cell, depth), keys.checkpoint_fields(cell, depth)
        found = self._found(CheckpointRecord, key, self._has_artifact)
        if found is not None:
            return found
        name, make = "train", lambda: self._train(cell)
        if depth:
            parent, link = self.checkpoint(cell, depth - 1), cell.recipe.transforms[depth - 1]
            name, make = link.name, lambda: self._transform(cell, link.item, parent)
        return self._stage(cell, name, CheckpointRecord, key, what, make, self._has_artifact)

    def compress(self, cell: Cell, point: CheckpointRecord) -> CompressRecord:
        """Quantize, encode, write the file, decode it in a fresh process, compare."""
        make = self._bound if isinstance(cell.codec.item, Bound) else self._compress
        return self._stage(
            cell,
            "compress",
            CompressRecord,
            keys.compress_key(cell),
            keys.cell_fields(cell),
            lambda: make(cell, self._quantized(cell, point)),
            lambda found: found.bound or self._has_artifact(found),
        )

    def evaluate(
        self,
        cell: Cell,
        weights_sha256: str,
        load: Callable[[], Weights],
        trained: CheckpointRecord,
        split: Split = SPLIT,
    ) -> EvaluateRecord:
        """Evaluate the weights with that hash beside the trained float weights.

        `load` is called only if there is no record of them.
        """
        reference = "" if weights_sha256 == trained.weights_sha256 else trained.weights_sha256
        what = {
            "model": cell.model.text,
            "weights_sha256": weights_sha256,
            "reference_sha256": reference,
            "split": split,
        }

        def make() -> Fields:
            model = cell.model.item
            module = evaluate.module_of(model, cell.seed, load())
            beside = self._float_model(cell, trained) if reference else None
            return evaluate.evaluate(model, module, split, beside)

        key = keys.evaluate_key(cell, weights_sha256, reference, split)
        return self._stage(cell, "evaluate", EvaluateRecord, key, what, make)

    def time(self, cell: Cell, point: CheckpointRecord, file: CompressRecord) -> TimeRecord:
        """Encode and decode all coded tensors, alone on this machine."""

        def make() -> Fields:
            if self.machine != provenance.machine():
                raise StageBusy("its times are those of another kind of machine")
            prepared = self._quantized(cell, point)
            return codec_timing.timed(prepared, cell.codec.item, self.patient)

        key = keys.time_key(file.key, self.machine)
        what = {**keys.cell_fields(cell), "machine": self.machine}
        return self._stage(cell, "time", TimeRecord, key, what, make)

    def _train(self, cell: Cell) -> Fields:
        key = keys.checkpoint_key(cell, 0)
        snapshots = self.store.snapshot_slot(key)
        state, training = float_checkpoint.train(
            cell, key, self.store.where, snapshots, self._progress
        )
        fields = {**self._saved(cell, state), "training": training}
        if training is not None:
            self.store.leases.check()  # or the snapshot is another process's
            snapshots.clear()
        return fields

    def _progress(self, step: int, steps: int, loss: float) -> None:
        self.store.leases.check()
        self.watcher.progress(step / steps, f"step {step}/{steps}, loss {loss:.3f}")

    def _transform(self, cell: Cell, transform: Transform, parent: CheckpointRecord) -> Fields:
        calibration = _calibration(cell)
        saved = self._saved(cell, transform.apply(self._load(parent), calibration))
        return {**saved, "calibration_sha256": calibration.sha256}

    def _saved(self, cell: Cell, state: Weights) -> Fields:
        buffers = _calibration(cell).buffers()
        sha256 = self.store.put_artifact(state_dict.to_bytes(state, buffers))
        fields = float_checkpoint.fields(cell.model.item, state, buffers)
        return {**fields, "artifact_sha256": sha256}

    def _compress(self, cell: Cell, prepared: Prepared) -> Fields:
        data = compress.compressed(prepared, cell.codec)
        sha256 = self.store.put_artifact(data)
        decoded = decode_in_fresh_process(self._artifact(sha256))
        if decoded.weights_sha256 != prepared.weights_sha256:
            raise VerificationMismatch("the decoded weights are not the weights that were encoded")
        fields = compress.file_fields(prepared, cell.model.item, decoded, len(data))
        return {**fields, "artifact_sha256": sha256}

    def _bound(self, cell: Cell, prepared: Prepared) -> Fields:
        return compress.bound_fields(prepared, cell.model.item, cell.codec.item)

    # -- weights --------------------------------------------------------------------------------

    def _load(self, point: CheckpointRecord) -> Weights:
        return self._weights.of(
            point.artifact_sha256, lambda: state_dict.load(self._artifact(point.artifact_sha256))
        )

    def _float_model(self, cell: Cell, trained: CheckpointRecord) -> Reference:
        """Return the model with its trained float weights, and its outputs."""

        def make() -> Reference:
            return Reference(evaluate.module_of(cell.model.item, cell.seed, self._load(trained)))

        return self._reference.of(trained.weights_sha256, make)

    def _quantized(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        quantiser = cell.recipe.quantiser

        def make() -> Prepared:
            source = sources.of_file(self._artifact(point.artifact_sha256))
            return prepare(_calibration(cell), quantiser, source)

        return self._prepared.of((point.artifact_sha256, quantiser.text), make)

    def _decoded(self, cell: Cell, point: CheckpointRecord, file: CompressRecord) -> Weights:
        """Return what a fresh process decodes from the file; of a bound, dequantized weights."""
        if file.bound:
            return state_dict.to_torch(self._quantized(cell, point).dequantized())
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            decode_in_fresh_process(self._artifact(file.artifact_sha256), out)
            return state_dict.load(out)

    def _has_artifact(self, found: CheckpointRecord | CompressRecord) -> bool:
        return self.store.find_artifact(found.artifact_sha256) is not None

    def _artifact(self, sha256: str) -> Path:
        path = self.store.find_artifact(sha256)
        if path is None:
            raise CorruptFile("an artifact disappeared while it was in use; run again")
        return path

    # -- records --------------------------------------------------------------------------------

    def _cached(self, kind: type[R], key: str) -> R | None:
        """Return a record that the run's policy for existing ones accepts, or None."""
        found = self.store.get(kind, key)
        if found is None:
            return None
        again = self.on_existing == "always" or (
            self.on_existing == "failed" and found.status == "failed"
        )
        if again and found.provenance.run != self.name:
            return None
        if found.status == "failed" and kind is not CellRecord:
            raise StageFailed(found.reason)
        return found

    def _found(self, kind: type[R], key: str, usable: Callable[[R], bool]) -> R | None:
        found = self._cached(kind, key)
        return found if found is not None and usable(found) else None

    def _stage(
        self,
        cell: Cell,
        name: str,
        kind: type[R],
        key: str,
        what: Fields,
        make: Callable[[], Fields],
        usable: Callable[[R], bool] = lambda found: True,
    ) -> R:
        """Return the record of that key if it is usable; else make it, in this process alone.

        A failure is kept as a record too, and raised.
        """
        found = self._found(kind, key, usable)
        if found is not None:
            return found
        with self.store.leases.hold(key):
            found = self._found(kind, key, usable)  # another process may have made it meanwhile
            if found is not None:
                return found
            self.watcher.stage(cell, name)
            with locks.at_work() if kind is not TimeRecord else contextlib.nullcontext():
                return self._make(cell, name, kind, key, what, make)

    def _make(
        self,
        cell: Cell,
        name: str,
        kind: type[R],
        key: str,
        what: Fields,
        make: Callable[[], Fields],
    ) -> R:
        started = time.perf_counter()
        failure = None
        fields: Fields = {"status": "ok"}
        try:
            with loop.threads(cell.model.item.threads):
                fields |= make()
        except (StageFailed, StoreUnusable, StageBusy):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise StoreUnusable(
                    f"{name}: {error}; make room, or set TMPDIR to another folder"
                ) from error
            failure = StageFailed(_reason(name, error), isinstance(error, VerificationMismatch))
            fields |= {
                "status": "failed",
                "reason": failure.reason,
                "traceback_tail": "".join(traceback.format_exception(error))[-2000:],
            }
        record = kind(
            key=key,
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(cell),
            **{**what, **fields},
        )
        self.store.leases.check()  # or the record is another process's to make
        self.store.put(record)
        if failure is not None:
            raise failure
        return record

    def _provenance(self, cell: Cell) -> Provenance:
        threads = cell.model.item.threads or torch.get_num_threads()
        return provenance.provenance(threads, self.command, self.name)


def _calibration(cell: Cell) -> Calibration:
    return Calibration(cell.model.item, cell.seed)


def _reason(stage: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"{stage}: out of memory"
    return f"{stage}: {type(error).__name__}: {error}"
