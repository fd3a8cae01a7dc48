"""train -> transform -> compress -> evaluate -> time: each stage cached by the hash of its inputs.

A stage reads its record if there is one and makes it otherwise. A lossless codec never causes
training or evaluation to run again: accuracy is keyed by the hash of the decoded weights.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.checkpoint import encoder, file_format, sources, state_dict
from slashbench.bench.machine import locks, provenance, timing
from slashbench.bench.pipeline import artifact, distribution, torchrun
from slashbench.bench.pipeline.compress import bound_bytes, compressed, ledger
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.quantized import (
    Prepared,
    prepare,
)
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.codecs.base import Bound
from slashbench.contracts import Calibration, Reference, Split, Transform, Weights
from slashbench.errors import (
    CorruptFile,
    StageBusy,
    StoreUnusable,
    TrainingDiverged,
    VerificationMismatch,
)
from slashbench.link import Link
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Provenance,
    Record,
    TimeRecord,
    Training,
    key_of,
)
from slashbench.trainers.training import loop, setup

OnExisting = Literal["missing", "failed", "always"]
Fields = dict[str, Any]  # of a record

R = TypeVar("R", bound=Record)

SPLIT: Split = "test"

_PAUSE_S = 1.0


class Watcher(Protocol):
    """Whoever shows progress."""

    def stage(self, cell: Cell, name: str) -> None:
        """A stage of `cell` starts to do work (a cached one is never announced)."""

    def progress(self, fraction: float, text: str) -> None:
        """How far the stage is, 0 to 1."""


class StageFailed(Exception):
    """A stage could not be done; its record says why."""

    def __init__(self, reason: str, mismatch: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mismatch = mismatch


class Stages:
    """Runs cells against one store. Keeps the last checkpoint and its quantized form in memory.

    Other processes may be at the same cells: what one of them is making raises StageBusy here.
    patient: so does timing while others are at work on the machine; else the times that are taken
    then are marked as contended.
    since: when the run began. What was made before is made again where `on_existing` says so, what
    was made since is the run's own, whichever process made it.
    machine: where cells are timed, if not here. command: that asks for all this, if not ours.
    """

    def __init__(
        self,
        store: Store,
        on_existing: OnExisting,
        watcher: Watcher,
        *,
        since: str = "",
        machine: str = "",
        command: str = "",
    ) -> None:
        self.store = store
        self.on_existing = on_existing
        self.watcher = watcher
        self.since = since or provenance.now()
        self.machine = machine or provenance.machine()
        self.command = command
        self.patient = False
        self._weights: tuple[str, Weights] | None = None
        self._reference: tuple[str, Reference] | None = None
        self._prepared: tuple[tuple[str, str], Prepared] | None = None

    def cached_cell(self, cell: Cell) -> CellRecord | None:
        """The cell's record, if it and those it is made of are there and need not be made again."""
        found = self._cached(CellRecord, self.cell_key(cell))
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

    def cached(self, kind: type[Record], key: str) -> bool:
        """Whether a record is there that need not be made again; a failed one is as good."""
        try:
            return self._cached(kind, key) is not None
        except StageFailed:
            return True

    def cell_key(self, cell: Cell) -> str:
        """The key of the cell's record: its times are those of one kind of machine."""
        return key_of("cell", compress=_compress_key(cell), machine=self.machine)

    def run(self, cell: Cell) -> CellRecord:
        """Run what is missing of one cell. A failure becomes a record with its reason.

        A record that another process made meanwhile stands. Raises StageBusy where one is at it,
        StoreUnusable when the results can't be written, VerificationMismatch when the decoded
        weights are not those that were encoded.
        """
        if (found := self.cached_cell(cell)) is not None:
            return found
        started = time.perf_counter()
        keys: Fields = {}
        failure = None
        try:
            point, compressed = self._size(cell, keys)
            if not compressed.bound:
                keys["time"] = self.time(cell, point, compressed).key
        except StageFailed as error:
            failure = error
        return self._conclude(cell, keys, started, failure)

    def size(self, cell: Cell) -> CellRecord | None:
        """As `run`, but for timing. Returns the record of a cell that ends here, a bound or a
        failure, and else None.
        """
        if (found := self.cached_cell(cell)) is not None:
            return found
        started = time.perf_counter()
        keys: Fields = {}
        try:
            _, compressed = self._size(cell, keys)
        except StageFailed as error:
            return self._conclude(cell, keys, started, error)
        return self._conclude(cell, keys, started) if compressed.bound else None

    def fail(self, cell: Cell, reason: str) -> CellRecord:
        """Keep a record of a cell that could not be run to an end here."""
        return self._conclude(cell, {}, time.perf_counter(), StageFailed(reason))

    def fail_checkpoint(self, cell: Cell, depth: int, reason: str) -> None:
        """Keep a record of a checkpoint that could not be made; its cells will fail for it."""
        key = checkpoint_key(cell, depth)
        if not self.cached(CheckpointRecord, key):
            self.store.put(
                CheckpointRecord(
                    key=key,
                    status="failed",
                    reason=reason,
                    wall_s=0.0,
                    provenance=self._provenance(cell),
                    **_point(cell, depth),
                )
            )

    def _conclude(
        self, cell: Cell, keys: Fields, started: float, failure: StageFailed | None = None
    ) -> CellRecord:
        record = CellRecord(
            key=self.cell_key(cell),
            status="failed" if failure else "ok",
            reason=failure.reason if failure else "",
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(cell),
            regime=cell.recipe.regime.text,
            metric=cell.model.item.metric,
            tolerance=cell.model.item.tolerance,
            **_who(cell),
            **keys,
        )
        self.store.put(record)
        if failure is not None and failure.mismatch:
            raise VerificationMismatch(f"{cell}: {failure.reason}")
        return record

    def _size(self, cell: Cell, keys: Fields) -> tuple[CheckpointRecord, CompressRecord]:
        """All but timing; the keys of the records go to `keys` one by one."""
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        keys["checkpoint"] = point.key
        compressed = self.compress(cell, point)
        keys["compress"] = compressed.key
        trained = self.checkpoint(cell, 0)
        keys["evaluate_float"] = self.evaluate(
            cell, point.weights_sha256, lambda: self._load(point), trained
        ).key
        keys["evaluate"] = self.evaluate(
            cell,
            compressed.weights_sha256,
            lambda: self._decoded(cell, point, compressed),
            trained,
        ).key
        return point, compressed

    def sized_and_scored(
        self, cell: Cell, split: Split
    ) -> tuple[CheckpointRecord, CompressRecord, EvaluateRecord, EvaluateRecord]:
        """Checkpoint, file, and the metric on `split` before and after compression; not timed.

        What another process is making is waited for. Raises StageFailed with the reason where one
        of them could not be had.
        """
        while True:
            try:
                return self._sized_and_scored(cell, split)
            except StageBusy:
                time.sleep(_PAUSE_S)

    def _sized_and_scored(
        self, cell: Cell, split: Split
    ) -> tuple[CheckpointRecord, CompressRecord, EvaluateRecord, EvaluateRecord]:
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        compressed = self.compress(cell, point)
        trained = self.checkpoint(cell, 0)
        floats = self.evaluate(
            cell, point.weights_sha256, lambda: self._load(point), trained, split
        )
        decoded = self.evaluate(
            cell,
            compressed.weights_sha256,
            lambda: self._decoded(cell, point, compressed),
            trained,
            split,
        )
        return point, compressed, floats, decoded

    def score(self, cell: Cell, split: Split) -> EvaluateRecord:
        """The metric of the decoded weights on `split`; what has a record is not made again.

        Raises StageFailed with the reason where it could not be had.
        """

        def point() -> CheckpointRecord:
            return self.checkpoint(cell, len(cell.recipe.transforms))

        sized = self._cached(CompressRecord, _compress_key(cell)) or self.compress(cell, point())
        return self.evaluate(
            cell,
            sized.weights_sha256,
            lambda: self._decoded(cell, point(), self.compress(cell, point())),
            self.checkpoint(cell, 0),
            split,
        )

    # -- checkpoint -----------------------------------------------------------------------------

    def checkpoint(self, cell: Cell, depth: int) -> CheckpointRecord:
        """The float checkpoint after training and the first `depth` post-training steps."""
        key, what = checkpoint_key(cell, depth), _point(cell, depth)
        found = self._found(CheckpointRecord, key, self._has_artifact)
        if found is not None:
            return found
        name, make = "train", lambda: self._train(cell)
        if depth:
            parent, step = self.checkpoint(cell, depth - 1), cell.recipe.transforms[depth - 1]
            name, make = step.name, lambda: self._transform(cell, step.item, parent)
        return self._stage(cell, name, CheckpointRecord, key, what, make, self._has_artifact)

    def _train(self, cell: Cell) -> Fields:
        model = cell.model.item
        if model.plan is None:
            setup.seed_everything(cell.seed)
            return self._save(cell, model.build(cell.seed).state_dict(), None)
        key = checkpoint_key(cell, 0)
        if cell.execution.processes > 1:
            state, log = torchrun.train(cell, key, self.store.where, self._progress)
            return self._save(cell, state, _training(log))
        keeper = self.store.keeper(key)
        state, log = setup.train_model(
            model, cell.recipe.regime.item, cell.seed, cell.execution, self._progress, keeper
        )
        fields = self._save(cell, state, _training(log))
        self.store.leases.check()  # or the snapshot is another process's
        keeper.clear()
        return fields

    def _progress(self, step: int, steps: int, loss: float) -> None:
        self.store.leases.check()
        self.watcher.progress(step / steps, f"step {step}/{steps}, loss {loss:.3f}")

    def _transform(self, cell: Cell, step: Transform, parent: CheckpointRecord) -> Fields:
        calibration = _calibration(cell)
        saved = self._save(cell, step.apply(self._load(parent), calibration), None)
        return {**saved, "calibration_sha256": calibration.sha256}

    def _save(self, cell: Cell, state: Weights, training: Training | None) -> Fields:
        aliases = state_dict.tied_names(state)
        parameters = [
            w for name, w in state.items() if name not in aliases and w.is_floating_point()
        ]
        return {
            "inputs": cell.model.item.inputs(),
            "artifact_sha256": self.store.put_artifact(state_dict.to_bytes(state)),
            "weights_sha256": artifact.weights_sha256(state_dict.to_numpy(state)),
            "n_parameters": sum(w.numel() for w in parameters),
            "native_bytes": sum(w.numel() * w.element_size() for w in parameters),
            "training": training,
            "distribution": distribution.describe([w.detach().float().numpy() for w in parameters]),
        }

    def _load(self, point: CheckpointRecord) -> Weights:
        if self._weights is None or self._weights[0] != point.artifact_sha256:
            self._weights = None  # free the last ones before the next are read
            path = self._artifact(point.artifact_sha256)
            self._weights = point.artifact_sha256, state_dict.load(path)
        return self._weights[1]

    def _has_artifact(self, found: CheckpointRecord | CompressRecord) -> bool:
        return self.store.find_artifact(found.artifact_sha256) is not None

    def _artifact(self, sha256: str) -> Path:
        path = self.store.find_artifact(sha256)
        if path is None:
            raise CorruptFile("an artifact disappeared while it was in use; run again")
        return path

    # -- compress -------------------------------------------------------------------------------

    def compress(self, cell: Cell, point: CheckpointRecord) -> CompressRecord:
        """Quantize, encode, write the file, decode it in a fresh process, compare."""
        make = self._bound if isinstance(cell.codec.item, Bound) else self._compress
        return self._stage(
            cell,
            "compress",
            CompressRecord,
            _compress_key(cell),
            _who(cell),
            lambda: make(cell, self._prepare(cell, point)),
            lambda found: found.bound or self._has_artifact(found),
        )

    def _compress(self, cell: Cell, prepared: Prepared) -> Fields:
        data = compressed(prepared, cell.codec)
        sha256 = self.store.put_artifact(data)
        decoded = decode_in_fresh_process(self._artifact(sha256))
        if decoded.weights_sha256 != prepared.weights_sha256:
            raise VerificationMismatch("the decoded weights are not the weights that were encoded")
        return {
            "artifact_sha256": sha256,
            "file_bytes": len(data),
            "ledger": ledger(prepared, decoded.parts, len(data)),
            "tensors": prepared.sizes(cell.model.item, decoded.sizes),
            "zeros": prepared.zeros(),
            "weights_sha256": prepared.weights_sha256,
            "calibration_sha256": prepared.calibration_sha256,
            "decode_peak_rss_bytes": decoded.peak_rss_bytes,
        }

    def _bound(self, cell: Cell, prepared: Prepared) -> Fields:
        return {
            "bound": True,
            "file_bytes": bound_bytes(prepared, cell.codec.item),
            "tensors": prepared.sizes(cell.model.item, {}),
            "zeros": prepared.zeros(),
            "weights_sha256": prepared.weights_sha256,
            "calibration_sha256": prepared.calibration_sha256,
        }

    def _prepare(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        identity = (point.artifact_sha256, cell.recipe.quantiser.text)
        if self._prepared is None or self._prepared[0] != identity:
            self._prepared = None  # free the last one before the next is made
            source = sources.of_file(self._artifact(point.artifact_sha256))
            made = prepare(_calibration(cell), cell.recipe.quantiser, source)
            self._prepared = identity, made
        return self._prepared[1]

    # -- evaluate -------------------------------------------------------------------------------

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
        key = key_of(
            "evaluate",
            model=cell.model.config,
            inputs=cell.model.item.inputs(),
            split=split,
            weights=weights_sha256,
            reference=reference,
            torch=torch.__version__,
        )
        what = {
            "model": cell.model.text,
            "weights_sha256": weights_sha256,
            "reference_sha256": reference,
            "split": split,
        }
        return self._stage(
            cell,
            "evaluate",
            EvaluateRecord,
            key,
            what,
            lambda: self._evaluate(cell, load, trained if reference else None, split),
        )

    def _evaluate(
        self,
        cell: Cell,
        load: Callable[[], Weights],
        trained: CheckpointRecord | None,
        split: Split,
    ) -> Fields:
        model = cell.model.item
        module = model.build(cell.seed)
        module.load_state_dict(load())
        reference = self._float_model(cell, trained) if trained else None
        metrics = model.evaluate(module, split, reference)
        if not np.isfinite([metrics.value, metrics.stderr, *metrics.per_item]).all():
            raise TrainingDiverged(
                f"{metrics.name} is {metrics.value}: the weights or their outputs are not finite"
            )
        return {
            "metric": metrics.name,
            "value": metrics.value,
            "stderr": metrics.stderr,
            "n": metrics.n,
            "higher_is_better": metrics.higher_is_better,
            "per_item": [float(f"{item:.6g}") for item in metrics.per_item],
            "also": {n: v for n, v in metrics.also.items() if math.isfinite(v)},
            "noise": None if trained else self._noise(cell, module, split, metrics.value),
        }

    def _float_model(self, cell: Cell, trained: CheckpointRecord) -> Reference:
        """The model with its trained float weights; the last one is kept, with its answers."""
        if self._reference is None or self._reference[0] != trained.weights_sha256:
            self._reference = None
            module = cell.model.item.build(cell.seed)
            module.load_state_dict(self._load(trained))
            self._reference = trained.weights_sha256, Reference(module)
        return self._reference[1]

    def _noise(self, cell: Cell, module: nn.Module, split: Split, value: float) -> float:
        """What the same weights change in the metric, computed by another number of threads."""
        with loop.threads(1 if torch.get_num_threads() > 1 else 2):
            return abs(cell.model.item.evaluate(module, split).value - value)

    def _decoded(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> Weights:
        """The weights that a fresh process decodes from the file; a bound's, dequantized."""
        if compressed.bound:
            return state_dict.to_torch(self._prepare(cell, point).dequantized())
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            decode_in_fresh_process(self._artifact(compressed.artifact_sha256), out)
            return state_dict.load(out)

    # -- time -----------------------------------------------------------------------------------

    def time(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> TimeRecord:
        """Encode and decode all coded tensors, alone on this machine."""
        key = key_of("time", compress=compressed.key, machine=self.machine)
        what = {**_who(cell), "machine": self.machine}
        return self._stage(cell, "time", TimeRecord, key, what, lambda: self._time(cell, point))

    def _time(self, cell: Cell, point: CheckpointRecord) -> Fields:
        if self.machine != provenance.machine():
            raise StageBusy("its times are those of another kind of machine")
        prepared = self._prepare(cell, point)
        codec = cell.codec.item
        arrays = [tensor.values for tensor in prepared.coded.values()]
        streams: list[bytes] = []

        def encode_all() -> None:
            streams[:] = [codec.encode(array) for array in arrays]

        with contextlib.ExitStack() as stack:
            disturbed = False
            try:
                stack.enter_context(locks.undisturbed())
            except StageBusy:
                if self.patient:
                    raise
                disturbed = True
            encode = timing.time_alone(encode_all)
            decode = timing.time_alone(lambda: [codec.decode(stream) for stream in streams])
        return {
            "native_bytes": sum(prepared.source.header.tensors[n].nbytes for n in prepared.coded),
            "n_coded": sum(array.size for array in arrays),
            "encode": encode,
            "decode": decode,
            "contended": disturbed or timing.contended(encode) or timing.contended(decode),
        }

    # -- records --------------------------------------------------------------------------------

    def _cached(self, kind: type[R], key: str) -> R | None:
        """A record that need not be made again under the run's policy for existing ones."""
        found = self.store.get(kind, key)
        if found is None:
            return None
        again = self.on_existing == "always" or (
            self.on_existing == "failed" and found.status == "failed"
        )
        if again and found.provenance.measured_at <= self.since:
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
        """The record of that key, if there is a usable one; else it is made by `make`, by this
        process alone, and kept. A failure is kept as a record too, and raised.
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
        return provenance.provenance(threads, self.command)


def _training(log: loop.TrainingLog) -> Training:
    return Training(steps=log.steps, wall_s=log.wall_s, cpu_s=log.cpu_s, log=log.rows)


def _calibration(cell: Cell) -> Calibration:
    return Calibration(cell.model.item, cell.seed)


def _point(cell: Cell, depth: int) -> Fields:
    """The fields that say which checkpoint a record is of."""
    links: list[Link[Any]] = [cell.recipe.regime, *cell.recipe.transforms[:depth]]
    return {
        "model": cell.model.text,
        "recipe": cell.executed("+".join(link.text for link in links)),
        "seed": cell.seed,
    }


def _who(cell: Cell) -> Fields:
    """The fields that say which cell a record belongs to."""
    return {
        "model": cell.model.text,
        "recipe": cell.recipe_text,
        "codec": cell.codec.text,
        "seed": cell.seed,
    }


def _reason(stage: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"{stage}: out of memory"
    return f"{stage}: {type(error).__name__}: {error}"


def checkpoint_key(cell: Cell, depth: int) -> str:
    """The key of the checkpoint after training and the first `depth` post-training steps."""
    model = cell.model.item
    return key_of(
        "checkpoint",
        model=cell.model.config,
        inputs=model.inputs(),
        regime=cell.recipe.regime.config if model.plan else "as they came",
        transforms=[link.config for link in cell.recipe.transforms[:depth]],
        seed=cell.seed,
        execution=cell.execution.config if model.plan else {},
        loop=loop.REVISION,
        torch=torch.__version__,
    )


def _compress_key(cell: Cell) -> str:
    return key_of(
        "compress",
        checkpoint=checkpoint_key(cell, len(cell.recipe.transforms)),
        quantiser=cell.recipe.quantiser.config,
        codec=cell.codec.config,
        format=[file_format.FORMAT, encoder.REVISION],
    )
