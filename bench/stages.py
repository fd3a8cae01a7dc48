"""train -> transform -> compress -> evaluate -> time: each stage cached by the hash of its inputs.

A stage reads its record if there is one and makes it otherwise. A lossless codec never causes
training or evaluation to run again: accuracy is keyed by the hash of the decoded weights.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch

from slashbench.bench import checkpoint, distribution, measure, weights
from slashbench.bench.decoding import decode_in_fresh_process
from slashbench.bench.matrix import Cell
from slashbench.bench.prepare import Prepared, prepare, to_numpy, to_torch
from slashbench.bench.store import Store
from slashbench.codecs.base import Bound
from slashbench.contracts import Calibration, Split, Transform, Weights
from slashbench.errors import (
    CorruptFile,
    StoreBusy,
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
    Record,
    TimeRecord,
    Training,
    key_of,
)
from slashbench.trainers import loop

OnExisting = Literal["missing", "failed", "always"]
Fields = dict[str, Any]  # of a record

R = TypeVar("R", bound=Record)

SPLIT: Split = "test"


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
    """Runs cells against one store. Keeps the last checkpoint and its quantised form in memory."""

    def __init__(self, store: Store, on_existing: OnExisting, watcher: Watcher) -> None:
        self.store = store
        self.on_existing = on_existing
        self.watcher = watcher
        self._made: set[str] = set()  # keys of this run: `always` remakes nothing twice
        self._weights: tuple[str, Weights] | None = None
        self._prepared: tuple[tuple[str, str], Prepared] | None = None

    def cached_cell(self, cell: Cell) -> CellRecord | None:
        """The cell's record, if it and those it is made of are there and need not be made again."""
        found = self._cached(CellRecord, _cell_key(cell))
        if found is None or found.status == "failed":
            return found
        parts: tuple[tuple[type[Record], str], ...] = (
            (CheckpointRecord, found.checkpoint),
            (CompressRecord, found.compress),
            (EvaluateRecord, found.evaluate_float),
            (EvaluateRecord, found.evaluate),
            (TimeRecord, found.time),
        )
        whole = all(self.store.get(kind, key) for kind, key in parts if key)
        return found if whole else None

    def run(self, cell: Cell) -> CellRecord:
        """Run what is missing of one cell. A failure becomes a record with its reason.

        Raises StoreUnusable when the results folder can't be written, VerificationMismatch when
        the decoded weights are not those that were encoded.
        """
        started = time.perf_counter()
        keys: Fields = {}
        failure = StageFailed("")
        try:
            self._run_stages(cell, keys)
        except StageFailed as error:
            failure = error
        record = CellRecord(
            key=_cell_key(cell),
            status="failed" if failure.reason else "ok",
            reason=failure.reason,
            wall_s=time.perf_counter() - started,
            provenance=measure.provenance(_threads(cell)),
            regime=cell.recipe.regime.text,
            metric=cell.model.item.metric,
            tolerance=cell.model.item.tolerance,
            **_who(cell),
            **keys,
        )
        self._put(record)
        if failure.mismatch:
            raise VerificationMismatch(f"{cell}: {failure.reason}")
        return record

    def _run_stages(self, cell: Cell, keys: Fields) -> None:
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        keys["checkpoint"] = point.key
        compressed = self.compress(cell, point)
        keys["compress"] = compressed.key
        keys["evaluate_float"] = self.evaluate(
            cell, point.weights_sha256, lambda: self._load(point)
        ).key
        keys["evaluate"] = self.evaluate(
            cell, compressed.weights_sha256, lambda: self._decoded(cell, point, compressed)
        ).key
        if not compressed.bound:
            keys["time"] = self.time(cell, point, compressed).key

    def sized_and_scored(
        self, cell: Cell, split: Split
    ) -> tuple[CheckpointRecord, CompressRecord, EvaluateRecord, EvaluateRecord]:
        """Checkpoint, file, and the metric on `split` before and after compression; not timed.

        Raises StageFailed with the reason where one of them could not be had.
        """
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        compressed = self.compress(cell, point)
        floats = self.evaluate(cell, point.weights_sha256, lambda: self._load(point), split)
        decoded = self.evaluate(
            cell,
            compressed.weights_sha256,
            lambda: self._decoded(cell, point, compressed),
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
            split,
        )

    # -- checkpoint -----------------------------------------------------------------------------

    def checkpoint(self, cell: Cell, depth: int) -> CheckpointRecord:
        """The float checkpoint after training and the first `depth` post-training steps."""
        key = _checkpoint_key(cell, depth)
        found = self._cached(CheckpointRecord, key)
        if found and self.store.find_artifact(found.artifact_sha256):
            return found
        links: list[Link[Any]] = [cell.recipe.regime, *cell.recipe.transforms[:depth]]
        what = {
            "model": cell.model.text,
            "recipe": cell.executed("+".join(link.text for link in links)),
            "seed": cell.seed,
        }
        if depth == 0:
            return self._stage(
                cell, "train", CheckpointRecord, key, what, lambda: self._train(cell)
            )
        parent = self.checkpoint(cell, depth - 1)
        step = cell.recipe.transforms[depth - 1]
        return self._stage(
            cell,
            step.name,
            CheckpointRecord,
            key,
            what,
            lambda: self._transform(cell, step.item, parent),
        )

    def _train(self, cell: Cell) -> Fields:
        model = cell.model.item
        loop.seed_everything(cell.seed)
        module = model.build(cell.seed)
        if model.plan is None:
            return self._save(cell, module.state_dict(), None)
        regime = cell.recipe.regime.item
        regime.initialise(module)
        module.to(cell.execution.device)
        plan = regime.plan(model.plan)
        keeper = self.store.keeper(_checkpoint_key(cell, 0))
        log = loop.train(
            module,
            model.batches(cell.seed),
            model.loss,
            plan,
            regime.penalty(dict(module.named_parameters()), plan),
            cell.execution,
            lambda step, steps, loss: self.watcher.progress(
                step / steps, f"step {step}/{steps}, loss {loss:.3f}"
            ),
            keeper,
        )
        training = Training(steps=log.steps, wall_s=log.wall_s, cpu_s=log.cpu_s, log=log.rows)
        fields = self._save(cell, module.to("cpu").state_dict(), training)
        keeper.clear()
        return fields

    def _transform(self, cell: Cell, step: Transform, parent: CheckpointRecord) -> Fields:
        calibration = _calibration(cell)
        saved = self._save(cell, step.apply(self._load(parent), calibration), None)
        return {**saved, "calibration_sha256": calibration.sha256}

    def _save(self, cell: Cell, state: Weights, training: Training | None) -> Fields:
        aliases = weights.tied_names(state)
        parameters = [
            w for name, w in state.items() if name not in aliases and w.is_floating_point()
        ]
        return {
            "inputs": cell.model.item.inputs(),
            "artifact_sha256": self.store.put_artifact(weights.to_bytes(state)),
            "weights_sha256": checkpoint.weights_sha256(to_numpy(state)),
            "n_parameters": sum(w.numel() for w in parameters),
            "native_bytes": sum(w.numel() * w.element_size() for w in parameters),
            "training": training,
            "distribution": distribution.describe([w.detach().float().numpy() for w in parameters]),
        }

    def _load(self, point: CheckpointRecord) -> Weights:
        if self._weights is None or self._weights[0] != point.artifact_sha256:
            path = self.store.find_artifact(point.artifact_sha256)
            if path is None:
                raise CorruptFile("the checkpoint disappeared while it was in use; run again")
            self._weights = point.artifact_sha256, weights.load(path)
        return self._weights[1]

    # -- compress -------------------------------------------------------------------------------

    def compress(self, cell: Cell, point: CheckpointRecord) -> CompressRecord:
        """Quantise, encode, write the file, decode it in a fresh process, compare."""
        key = _compress_key(cell)
        found = self._cached(CompressRecord, key)
        if found and (found.bound or self.store.find_artifact(found.artifact_sha256)):
            return found
        make = self._bound if isinstance(cell.codec.item, Bound) else self._compress
        return self._stage(
            cell,
            "compress",
            CompressRecord,
            key,
            _who(cell),
            lambda: make(cell, self._prepare(cell, point)),
        )

    def _compress(self, cell: Cell, prepared: Prepared) -> Fields:
        encoded = checkpoint.encode(
            prepared.coded, prepared.stored, prepared.aliases, cell.codec.item, cell.codec.name
        )
        artifact = self.store.put_artifact(encoded.data)
        decoded = decode_in_fresh_process(self.store.artifact_path(artifact))
        if decoded.weights_sha256 != prepared.weights_sha256:
            raise VerificationMismatch("the decoded weights are not the weights that were encoded")
        return {
            "artifact_sha256": artifact,
            "file_bytes": len(encoded.data),
            "ledger": encoded.ledger,
            "tensors": prepared.sized(encoded.stream_bytes),
            "zeros": prepared.zeros(),
            "weights_sha256": prepared.weights_sha256,
            "calibration_sha256": prepared.calibration_sha256,
            "decode_peak_rss_bytes": decoded.peak_rss_bytes,
        }

    def _bound(self, cell: Cell, prepared: Prepared) -> Fields:
        bits = sum(cell.codec.item.bits(tensor.values) for tensor in prepared.coded.values())
        floats = sum(a.nbytes for a in prepared.stored.values() if a.dtype.kind == "f")
        return {
            "bound": True,
            "file_bytes": bits / 8 + floats,
            "tensors": prepared.sizes,
            "zeros": prepared.zeros(),
            "weights_sha256": prepared.weights_sha256,
            "calibration_sha256": prepared.calibration_sha256,
        }

    def _prepare(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        identity = (point.artifact_sha256, cell.recipe.quantiser.text)
        if self._prepared is None or self._prepared[0] != identity:
            self._prepared = None  # free the last one before the next is made
            made = prepare(_calibration(cell), cell.recipe.quantiser, self._load(point))
            self._prepared = identity, made
        return self._prepared[1]

    # -- evaluate -------------------------------------------------------------------------------

    def evaluate(
        self, cell: Cell, weights_sha256: str, load: Callable[[], Weights], split: Split = SPLIT
    ) -> EvaluateRecord:
        """The metric of the weights with that hash; `load` is called only if it is not known."""
        key = key_of(
            "evaluate",
            model=cell.model.config,
            inputs=cell.model.item.inputs(),
            split=split,
            weights=weights_sha256,
            torch=torch.__version__,
        )
        what = {"model": cell.model.text, "weights_sha256": weights_sha256, "split": split}
        return self._cached(EvaluateRecord, key) or self._stage(
            cell, "evaluate", EvaluateRecord, key, what, lambda: self._evaluate(cell, load, split)
        )

    def _evaluate(self, cell: Cell, load: Callable[[], Weights], split: Split) -> Fields:
        module = cell.model.item.build(cell.seed)
        module.load_state_dict(load())
        metrics = cell.model.item.evaluate(module, split)
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
        }

    def _decoded(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> Weights:
        """The weights that a fresh process decodes from the file; a bound's, dequantised."""
        if compressed.bound:
            return to_torch(self._prepare(cell, point).dequantised())
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            decode_in_fresh_process(self.store.artifact_path(compressed.artifact_sha256), out)
            return weights.load(out)

    # -- time -----------------------------------------------------------------------------------

    def time(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> TimeRecord:
        """Encode and decode all coded tensors, alone on this machine."""
        key = key_of("time", compress=compressed.key, machine=measure.machine())
        what = {**_who(cell), "machine": measure.machine()}
        return self._cached(TimeRecord, key) or self._stage(
            cell, "time", TimeRecord, key, what, lambda: self._time(cell, point)
        )

    def _time(self, cell: Cell, point: CheckpointRecord) -> Fields:
        prepared, state = self._prepare(cell, point), self._load(point)
        codec = cell.codec.item
        arrays = [tensor.values for tensor in prepared.coded.values()]
        streams: list[bytes] = []

        def encode_all() -> None:
            streams[:] = [codec.encode(array) for array in arrays]

        encode = measure.time_alone(encode_all)
        decode = measure.time_alone(lambda: [codec.decode(stream) for stream in streams])
        return {
            "native_bytes": sum(state[n].numel() * state[n].element_size() for n in prepared.coded),
            "n_coded": sum(array.size for array in arrays),
            "encode": encode,
            "decode": decode,
            "contended": measure.contended(encode) or measure.contended(decode),
        }

    # -- records --------------------------------------------------------------------------------

    def _cached(self, kind: type[R], key: str) -> R | None:
        """A record that need not be made again under the run's policy for existing ones."""
        found = self.store.get(kind, key)
        if found is None or key in self._made:
            return found
        if self.on_existing == "always" or (
            self.on_existing == "failed" and found.status == "failed"
        ):
            return None
        if found.status == "failed" and kind is not CellRecord:
            raise StageFailed(found.reason)
        return found

    def _stage(
        self,
        cell: Cell,
        name: str,
        kind: type[R],
        key: str,
        what: Fields,
        make: Callable[[], Fields],
    ) -> R:
        """Make a record of `what` and keep it; a failure is kept as a record too, and raised."""
        self.watcher.stage(cell, name)
        started = time.perf_counter()
        failure = None
        fields: Fields = {"status": "ok"}
        try:
            with loop.threads(cell.model.item.threads):
                fields |= make()
        except (StageFailed, StoreUnusable, StoreBusy):
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
            provenance=measure.provenance(_threads(cell)),
            **{**what, **fields},
        )
        self._put(record)
        if failure is not None:
            raise failure
        return record

    def _put(self, record: Record) -> None:
        self.store.put(record)
        self._made.add(record.key)


def _calibration(cell: Cell) -> Calibration:
    return Calibration(cell.model.item, cell.seed)


def _threads(cell: Cell) -> int:
    return cell.model.item.threads or torch.get_num_threads()


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


def _checkpoint_key(cell: Cell, depth: int) -> str:
    model = cell.model.item
    return key_of(
        "checkpoint",
        model=cell.model.config,
        inputs=model.inputs(),
        regime=cell.recipe.regime.config if model.plan else "as they came",
        transforms=[link.config for link in cell.recipe.transforms[:depth]],
        seed=cell.seed,
        execution=dataclasses.asdict(cell.execution) if model.plan else {},
        loop=loop.REVISION,
        torch=torch.__version__,
    )


def _compress_key(cell: Cell) -> str:
    return key_of(
        "compress",
        checkpoint=_checkpoint_key(cell, len(cell.recipe.transforms)),
        quantiser=cell.recipe.quantiser.config,
        codec=cell.codec.config,
        format=checkpoint.FORMAT,
    )


def _cell_key(cell: Cell) -> str:
    return key_of("cell", compress=_compress_key(cell), machine=measure.machine())
