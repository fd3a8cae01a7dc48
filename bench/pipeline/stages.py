"""train -> transform -> compress -> evaluate -> time: each stage cached by the hash of its inputs.

A stage reads its record if there is one and makes it otherwise. A lossless codec never causes
training or evaluation to run again: accuracy is keyed by the hash of the decoded weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from slashbench.bench.checkpoint import base_files, state_dict
from slashbench.bench.machine import provenance
from slashbench.bench.pipeline import (
    apply_time,
    codec_timing,
    compress,
    evaluate,
    float_checkpoint,
    keys,
)
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.pipeline.loaded_weights import LoadedWeights
from slashbench.bench.pipeline.quantized import Prepared
from slashbench.bench.pipeline.record_cache import (
    OnExisting,
    RecordCache,
    StageFailed,
    StageWatcher,
)
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.codecs.base import Bound
from slashbench.contracts import Calibration, Regime, Split, Transform, Weights
from slashbench.errors import StageBusy, VerificationMismatch
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Record,
    TimeRecord,
)
from slashbench.trainers.training.setup import Trained

SPLIT: Split = "test"

_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The records of a cell, but for timing."""

    checkpoint: CheckpointRecord
    compress: CompressRecord
    evaluate_float: EvaluateRecord  # of the checkpoint
    evaluate: EvaluateRecord  # of what is decoded from the file


class Stages:
    """Make the records of cells in one store, each once.

    Other processes may work on the same cells: what one of them is making raises StageBusy here.

    Parameters
    ----------
    on_existing, run, command
        As `RecordCache` takes them.
    machine
        Where cells are timed, if not here.

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
        self.records = RecordCache(store, on_existing, watcher, run, command)
        self.weights = LoadedWeights(store)
        self.machine = machine or provenance.machine()
        self.patient = False

    # -- cells ----------------------------------------------------------------------------------

    def cached_cell(self, cell: Cell) -> CellRecord | None:
        """Return the cell's record, if it and those it is made of need not be made again."""
        found = self.records.cached(CellRecord, keys.cell_key(cell, self.machine))
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
            return self.records.cached(kind, key) is not None
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
                made["time"] = self.time(cell, measured.compress).key
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
            return self.weights.decoded(cell, point, self.compress(cell, point))

        trained = cell.recipe.trained
        file = self.records.cached(CompressRecord, keys.compress_key(cell))
        if file is None:
            file = self.compress(cell, self.checkpoint(cell, len(cell.recipe.transforms)))
        return self.evaluate(cell, file.weights_sha256, load, self.checkpoint(cell, trained), split)

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
                    provenance=self.records.provenance(cell),
                    **keys.checkpoint_fields(cell, depth),
                )
            )

    def _measured(self, cell: Cell, split: Split, made: Fields) -> Measured:
        """Make all but the timing; add the keys of the records to `made` one by one."""
        depth = len(cell.recipe.transforms)
        point = self.checkpoint(cell, depth)
        made["checkpoint"] = point.key
        file = self.compress(cell, point)
        made["compress"] = file.key
        trained = self.checkpoint(cell, cell.recipe.trained)
        floats = self.evaluate(
            cell, point.weights_sha256, lambda: self._whole(cell, depth, point), trained, split
        )
        made["evaluate_float"] = floats.key
        decoded = self.evaluate(
            cell,
            file.weights_sha256,
            lambda: self.weights.decoded(cell, point, file),
            trained,
            split,
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
            provenance=self.records.provenance(cell),
            regime=cell.recipe.training,
            given_base=cell.recipe.gives_differences(len(cell.recipe.transforms)),
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
        self.weights.turn_to(cell.model.text)
        key, what = keys.checkpoint_key(cell, depth), keys.checkpoint_fields(cell, depth)
        found = self.records.found(CheckpointRecord, key, self.weights.has_artifact)
        if found is not None:
            return found
        link = cell.recipe.transforms[depth - 1] if depth else cell.recipe.regime
        parent = self.checkpoint(cell, depth - 1) if depth else None
        transform = link.item
        name, make = "train", lambda: self._train(cell, depth, parent)
        if parent is not None and not isinstance(transform, Regime):
            name, make = link.name, lambda: self._transform(cell, depth, transform, parent)
        return self.records.stage(
            cell, name, CheckpointRecord, key, what, make, self.weights.has_artifact
        )

    def compress(self, cell: Cell, point: CheckpointRecord) -> CompressRecord:
        """Quantize, encode, write the file, decode it in a fresh process, compare."""
        make = self._bound if isinstance(cell.codec.item, Bound) else self._compress
        return self.records.stage(
            cell,
            "compress",
            CompressRecord,
            keys.compress_key(cell),
            keys.cell_fields(cell),
            lambda: make(cell, self.weights.quantized(cell, point)),
            lambda found: found.bound or self.weights.has_artifact(found),
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
            beside = self.weights.float_model(cell, trained, split) if reference else None
            return evaluate.evaluate(model, module, split, beside)

        key = keys.evaluate_key(cell, weights_sha256, reference, split)
        return self.records.stage(cell, "evaluate", EvaluateRecord, key, what, make)

    def time(self, cell: Cell, file: CompressRecord) -> TimeRecord:
        """Encode and decode all coded tensors of a file, alone on this machine."""

        def make() -> Fields:
            if self.machine != provenance.machine():
                raise StageBusy("its times are those of another kind of machine")
            path = self.weights.artifact(file.artifact_sha256)
            coded = compress.coded_values(path, file)
            found = codec_timing.timed(coded, cell.codec.item, self.patient)
            base = self.weights.base_file(cell, len(cell.recipe.transforms))
            return found if base is None else {**found, "apply": apply_time.timed(path, base)}

        key = keys.time_key(file.key, self.machine)
        what = {**keys.cell_fields(cell), "machine": self.machine}
        return self.records.stage(cell, "time", TimeRecord, key, what, make)

    def _train(self, cell: Cell, depth: int, parent: CheckpointRecord | None) -> Fields:
        """Train; what it costs is that of the links before too."""
        key = keys.checkpoint_key(cell, depth)
        snapshots = self.store.snapshot_slot(key)
        self.weights.forget()
        before = self._before(cell, depth, parent) if parent is not None else None
        state, training = float_checkpoint.train(
            cell, depth, key, self.store.where, snapshots, self._progress, before
        )
        if training is not None and depth:
            spent = self.checkpoint(cell, cell.recipe.trained_before(depth)).training
            assert spent is not None
            training = float_checkpoint.with_cost(training, spent)
        fields = {**self._saved(cell, depth, state), "training": training}
        if training is not None:
            self.store.leases.check()  # or the snapshot is another process's
            snapshots.clear()
        return fields

    def _before(self, cell: Cell, depth: int, parent: CheckpointRecord) -> Trained:
        trained = self.checkpoint(cell, cell.recipe.trained_before(depth))
        teacher = self.weights.load(trained)
        return Trained(
            weights=teacher if trained.key == parent.key else self.weights.load(parent),
            teacher=teacher,
            steps=trained.training.steps if trained.training else 0,
        )

    def _progress(self, step: int, steps: int, loss: float) -> None:
        self.store.leases.check()
        self.records.watcher.progress(step / steps, f"step {step}/{steps}, loss {loss:.3f}")

    def _transform(
        self, cell: Cell, depth: int, transform: Transform, parent: CheckpointRecord
    ) -> Fields:
        base = self.weights.base(cell, depth - 1)
        calibration = Calibration(cell.model.item, cell.seed, base=base)
        saved = self._saved(cell, depth, transform.apply(self.weights.load(parent), calibration))
        return {**saved, "calibration_sha256": calibration.sha256}

    def _saved(self, cell: Cell, depth: int, state: Weights) -> Fields:
        """Keep a checkpoint; what is said of it is of the weights as the model has them."""
        buffers = Calibration(cell.model.item, cell.seed).buffers()
        base = self.weights.base_file(cell, depth)
        named = "" if base is None else base_files.opened(base).identity()
        sha256 = self.store.put_artifact(state_dict.to_bytes(state, buffers, named))
        whole = self.weights.whole(cell, depth, state)
        fields = float_checkpoint.fields(cell.model.item, whole, buffers)
        return {**fields, "artifact_sha256": sha256}

    def _whole(self, cell: Cell, depth: int, point: CheckpointRecord) -> Weights:
        return self.weights.whole(cell, depth, self.weights.load(point))

    def _compress(self, cell: Cell, prepared: Prepared) -> Fields:
        data = compress.compressed(prepared, cell.codec)
        sha256 = self.store.put_artifact(data)
        base = self.weights.base_file(cell, len(cell.recipe.transforms))
        decoded = decode_in_fresh_process(self.weights.artifact(sha256), base=base)
        if decoded.weights_sha256 != prepared.weights_sha256:
            raise VerificationMismatch("the decoded weights are not the weights that were encoded")
        fields = compress.file_fields(prepared, cell.model.item, decoded, len(data))
        return {**fields, "artifact_sha256": sha256}

    def _bound(self, cell: Cell, prepared: Prepared) -> Fields:
        return compress.bound_fields(prepared, cell.model.item, cell.codec.item)
