"""train -> transform -> compress -> evaluate -> time: each stage cached by the hash of its inputs.

A stage reads its record if there is one and makes it otherwise. A lossless codec never causes
training or evaluation to run again: accuracy is keyed by the hash of the decoded weights.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from slashbench.bench import checkpoint, measure, weights
from slashbench.bench.decoding import decode_in_fresh_process
from slashbench.bench.matrix import Cell
from slashbench.bench.store import Store
from slashbench.codecs.base import Bound
from slashbench.codecs.entropy import order0_bits
from slashbench.contracts import Quantised, Split, Weights
from slashbench.errors import (
    CorruptFile,
    StoreBusy,
    StoreUnusable,
    Unencodable,
    VerificationMismatch,
)
from slashbench.link import Link
from slashbench.record import (
    AnyRecord,
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Provenance,
    Record,
    TensorSize,
    TimeRecord,
    Training,
    key_of,
)
from slashbench.trainers import loop

OnExisting = Literal["missing", "failed", "always"]

R = TypeVar("R", bound=Record)
Array = npt.NDArray[Any]

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A quantised checkpoint in memory: what a codec is given."""

    coded: dict[str, Quantised]
    stored: dict[str, Array]
    aliases: dict[str, str]
    sizes: list[TensorSize]  # n_bytes still 0

    def dequantised(self) -> dict[str, Array]:
        """What a decoder must rebuild, tied names included."""
        rebuilt = {name: tensor.dequantise() for name, tensor in self.coded.items()}
        rebuilt |= self.stored
        return rebuilt | {alias: rebuilt[name] for alias, name in self.aliases.items()}


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
        """The cell's record, if it need not be run."""
        return self._cached(CellRecord, self._cell_key(cell))

    def run(self, cell: Cell) -> CellRecord:
        """Run what is missing of one cell. A failure becomes a record with its reason.

        Raises StoreUnusable when the results folder can't be written.
        """
        started = time.perf_counter()
        keys: dict[str, Any] = {}
        failure = StageFailed("")
        try:
            self._run_stages(cell, keys)
        except StageFailed as error:
            failure = error
        record = CellRecord(
            key=self._cell_key(cell),
            status="failed" if failure.reason else "ok",
            reason=failure.reason,
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(),
            model=cell.model.text,
            regime=cell.recipe.regime.text,
            recipe=cell.recipe.text,
            codec=cell.codec.text,
            seed=cell.seed,
            metric=cell.model.item.metric,
            tolerance=cell.model.item.tolerance,
            **keys,
        )
        self._put(record)
        if failure.mismatch:
            raise VerificationMismatch(f"{cell}: {failure.reason}")
        return record

    def _run_stages(self, cell: Cell, keys: dict[str, Any]) -> None:
        point = self.checkpoint(cell, len(cell.recipe.transforms))
        keys["checkpoint"] = point.key
        compressed = self.compress(cell, point)
        keys["compress"] = compressed.key
        keys["evaluate_float"] = self.evaluate(
            cell, point.weights_sha256, lambda: self._load_checkpoint(point)
        ).key
        keys["evaluate"] = self.evaluate(
            cell, compressed.weights_sha256, lambda: self._decoded(cell, point, compressed)
        ).key
        if not compressed.bound:
            keys["time"] = self.time(cell, point, compressed).key

    # -- checkpoint -----------------------------------------------------------------------------

    def checkpoint(self, cell: Cell, depth: int) -> CheckpointRecord:
        """The float checkpoint after training and the first `depth` post-training steps."""
        key = self._checkpoint_key(cell, depth)
        found = self._cached(CheckpointRecord, key)
        if found and self.store.find_artifact(found.artifact_sha256):
            return found
        if depth == 0:
            return self._stage(cell, "train", key, CheckpointRecord, lambda: self._train(cell, key))
        parent = self.checkpoint(cell, depth - 1)
        step = cell.recipe.transforms[depth - 1]

        def transform() -> CheckpointRecord:
            started = time.perf_counter()
            changed = step.item.apply(self._load_checkpoint(parent))
            return self._save_checkpoint(cell, depth, key, changed, None, started)

        return self._stage(cell, step.name, key, CheckpointRecord, transform)

    def _train(self, cell: Cell, key: str) -> CheckpointRecord:
        started = time.perf_counter()
        model, regime = cell.model.item, cell.recipe.regime.item
        loop.seed_everything(cell.seed)
        module = model.build(cell.seed)
        training = None
        if model.plan is not None:
            parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
            log = loop.train(
                module,
                model.batches(cell.seed),
                model.loss,
                model.plan,
                regime.penalty(parameters),
                lambda step, steps, loss: self.watcher.progress(
                    step / steps, f"step {step}/{steps}, loss {loss:.3f}"
                ),
            )
            training = Training(steps=log.steps, wall_s=log.wall_s, cpu_s=log.cpu_s, log=log.rows)
        return self._save_checkpoint(cell, 0, key, dict(module.state_dict()), training, started)

    def _save_checkpoint(
        self,
        cell: Cell,
        depth: int,
        key: str,
        state: Weights,
        training: Training | None,
        started: float,
    ) -> CheckpointRecord:
        aliases = weights.tied_names(state)
        parameters = [
            w for name, w in state.items() if name not in aliases and w.is_floating_point()
        ]
        links: list[Link[Any]] = [cell.recipe.regime, *cell.recipe.transforms[:depth]]
        return CheckpointRecord(
            key=key,
            status="ok",
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(),
            model=cell.model.text,
            recipe="+".join(link.text for link in links),
            seed=cell.seed,
            inputs=cell.model.item.inputs(),
            artifact_sha256=self.store.put_artifact(weights.to_bytes(state)),
            weights_sha256=checkpoint.weights_sha256(_to_numpy(state)),
            n_parameters=sum(w.numel() for w in parameters),
            native_bytes=sum(w.numel() * w.element_size() for w in parameters),
            training=training,
        )

    def _load_checkpoint(self, point: CheckpointRecord) -> Weights:
        if self._weights is None or self._weights[0] != point.artifact_sha256:
            path = self.store.find_artifact(point.artifact_sha256)
            if path is None:
                raise CorruptFile("the checkpoint disappeared while it was in use; run again")
            self._weights = point.artifact_sha256, weights.load(path)
        return self._weights[1]

    # -- compress -------------------------------------------------------------------------------

    def compress(self, cell: Cell, point: CheckpointRecord) -> CompressRecord:
        """Quantise, encode, write the file, decode it in a fresh process, compare."""
        key = self._compress_key(cell)
        found = self._cached(CompressRecord, key)
        if found and (found.bound or self.store.find_artifact(found.artifact_sha256)):
            return found
        make = self._bound if isinstance(cell.codec.item, Bound) else self._compress
        return self._stage(cell, "compress", key, CompressRecord, lambda: make(cell, point, key))

    def _compress(self, cell: Cell, point: CheckpointRecord, key: str) -> CompressRecord:
        started = time.perf_counter()
        prepared = self._prepare(cell, point)
        encoded = checkpoint.encode(
            prepared.coded, prepared.stored, prepared.aliases, cell.codec.item, cell.codec.name
        )
        artifact = self.store.put_artifact(encoded.data)
        wanted = checkpoint.weights_sha256(prepared.dequantised())
        decoded = decode_in_fresh_process(self.store.artifact_path(artifact))
        if decoded.weights_sha256 != wanted:
            raise VerificationMismatch("the decoded weights are not the weights that were encoded")
        return CompressRecord(
            key=key,
            status="ok",
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(),
            model=cell.model.text,
            recipe=cell.recipe.text,
            codec=cell.codec.text,
            seed=cell.seed,
            artifact_sha256=artifact,
            file_bytes=len(encoded.data),
            ledger=encoded.ledger,
            tensors=[_with_bytes(size, encoded.stream_bytes[size.name]) for size in prepared.sizes],
            zeros=_zeros(prepared),
            weights_sha256=wanted,
            decode_peak_rss_bytes=decoded.peak_rss_bytes,
        )

    def _bound(self, cell: Cell, point: CheckpointRecord, key: str) -> CompressRecord:
        started = time.perf_counter()
        prepared = self._prepare(cell, point)
        bits = sum(cell.codec.item.bits(tensor.values) for tensor in prepared.coded.values())
        floats = sum(a.nbytes for a in prepared.stored.values() if a.dtype.kind == "f")
        return CompressRecord(
            key=key,
            status="ok",
            wall_s=time.perf_counter() - started,
            provenance=self._provenance(),
            model=cell.model.text,
            recipe=cell.recipe.text,
            codec=cell.codec.text,
            seed=cell.seed,
            bound=True,
            file_bytes=bits / 8 + floats,
            tensors=prepared.sizes,
            zeros=_zeros(prepared),
            weights_sha256=checkpoint.weights_sha256(prepared.dequantised()),
        )

    def _prepare(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        identity = (point.artifact_sha256, cell.recipe.quantiser.text)
        if self._prepared is None or self._prepared[0] != identity:
            self._prepared = None  # free the last one before the next is made
            self._prepared = identity, self._quantise(cell, self._load_checkpoint(point))
        return self._prepared[1]

    def _quantise(self, cell: Cell, state: Weights) -> Prepared:
        aliases = weights.tied_names(state)
        prepared = Prepared({}, {}, aliases, [])
        for name, array in _to_numpy(state).items():
            if name in aliases:
                continue
            kind = weights.kind_of(cell.model.item, name, state[name])
            tensor = None
            if kind != "buffer":
                tensor = cell.recipe.quantiser.item.quantise(name, array)
            if tensor is None:
                prepared.stored[name] = array
            else:
                prepared.coded[name] = tensor
            integers = tensor is not None and tensor.values.dtype.kind in "iu"
            prepared.sizes.append(
                TensorSize(
                    name=name,
                    kind=kind,
                    n=array.size,
                    n_bytes=0,
                    coded=tensor is not None,
                    entropy_bits=order0_bits(tensor.values) if tensor and integers else None,
                )
            )
        if not prepared.coded:
            raise Unencodable(
                f"{cell.recipe.quantiser.text} leaves nothing to code: the model has no matrices; "
                "try quantize:scope=all"
            )
        return prepared

    # -- evaluate -------------------------------------------------------------------------------

    def evaluate(
        self, cell: Cell, weights_sha256: str, load: Callable[[], Weights]
    ) -> EvaluateRecord:
        """The metric of the weights with that hash; `load` is called only if it is not known."""
        key = key_of(
            "evaluate",
            model=cell.model.config,
            inputs=cell.model.item.inputs(),
            split=SPLIT,
            weights=weights_sha256,
            torch=torch.__version__,
        )
        found = self._cached(EvaluateRecord, key)
        if found:
            return found

        def evaluate() -> EvaluateRecord:
            started = time.perf_counter()
            module = cell.model.item.build(cell.seed)
            module.load_state_dict(load())
            metrics = cell.model.item.evaluate(module, SPLIT)
            return EvaluateRecord(
                key=key,
                status="ok",
                wall_s=time.perf_counter() - started,
                provenance=self._provenance(),
                model=cell.model.text,
                weights_sha256=weights_sha256,
                split=SPLIT,
                metric=metrics.name,
                value=metrics.value,
                stderr=metrics.stderr,
                n=metrics.n,
                higher_is_better=metrics.higher_is_better,
                per_item=[float(f"{item:.6g}") for item in metrics.per_item],
                also=metrics.also,
            )

        return self._stage(cell, "evaluate", key, EvaluateRecord, evaluate)

    def _decoded(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> Weights:
        """The weights that a fresh process decodes from the file; a bound's, dequantised."""
        if compressed.bound:
            rebuilt = self._prepare(cell, point).dequantised()
            return {name: torch.from_numpy(np.array(a)) for name, a in rebuilt.items()}
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            decode_in_fresh_process(self.store.artifact_path(compressed.artifact_sha256), out)
            return weights.load(out)

    # -- time -----------------------------------------------------------------------------------

    def time(self, cell: Cell, point: CheckpointRecord, compressed: CompressRecord) -> TimeRecord:
        """Encode and decode all coded tensors, alone on this machine."""
        key = key_of("time", compress=compressed.key, machine=measure.machine())
        found = self._cached(TimeRecord, key)
        if found:
            return found

        def measure_speed() -> TimeRecord:
            started = time.perf_counter()
            prepared = self._prepare(cell, point)
            arrays = [tensor.values for tensor in prepared.coded.values()]
            codec = cell.codec.item
            streams = [codec.encode(array) for array in arrays]
            encode = measure.time_alone(lambda: [codec.encode(array) for array in arrays])
            decode = measure.time_alone(lambda: [codec.decode(stream) for stream in streams])
            state = self._load_checkpoint(point)
            return TimeRecord(
                key=key,
                status="ok",
                wall_s=time.perf_counter() - started,
                provenance=self._provenance(),
                model=cell.model.text,
                recipe=cell.recipe.text,
                codec=cell.codec.text,
                seed=cell.seed,
                machine=measure.machine(),
                native_bytes=sum(
                    state[n].numel() * state[n].element_size() for n in prepared.coded
                ),
                n_coded=sum(array.size for array in arrays),
                encode=encode,
                decode=decode,
                contended=measure.contended(encode) or measure.contended(decode),
            )

        return self._stage(cell, "time", key, TimeRecord, measure_speed)

    # -- keys and records -----------------------------------------------------------------------

    def _checkpoint_key(self, cell: Cell, depth: int) -> str:
        model = cell.model.item
        return key_of(
            "checkpoint",
            model=cell.model.config,
            inputs=model.inputs(),
            regime=cell.recipe.regime.config if model.plan else "as they came",
            transforms=[link.config for link in cell.recipe.transforms[:depth]],
            seed=cell.seed,
            loop=loop.REVISION,
            torch=torch.__version__,
        )

    def _compress_key(self, cell: Cell) -> str:
        return key_of(
            "compress",
            checkpoint=self._checkpoint_key(cell, len(cell.recipe.transforms)),
            quantiser=cell.recipe.quantiser.config,
            codec=cell.codec.config,
            format=checkpoint.FORMAT,
        )

    def _cell_key(self, cell: Cell) -> str:
        return key_of("cell", compress=self._compress_key(cell), machine=measure.machine())

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

    def _stage(self, cell: Cell, name: str, key: str, kind: type[R], make: Callable[[], R]) -> R:
        """Make a record and keep it; a failure is kept as a record too, and raised."""
        self.watcher.stage(cell, name)
        started = time.perf_counter()
        try:
            made = make()
        except (StageFailed, StoreUnusable, StoreBusy):
            raise
        except Exception as error:
            reason = _reason(name, error)
            failed = kind(
                key=key,
                status="failed",
                reason=reason,
                traceback_tail="".join(traceback.format_exception(error))[-2000:],
                wall_s=time.perf_counter() - started,
                provenance=self._provenance(),
                **_identity(kind, cell),
            )
            self._put(failed)  # type: ignore[arg-type]
            raise StageFailed(reason, isinstance(error, VerificationMismatch)) from error
        self._put(made)  # type: ignore[arg-type]
        return made

    def _put(self, record: AnyRecord) -> None:
        self.store.put(record)
        self._made.add(record.key)

    def _provenance(self) -> Provenance:
        return measure.provenance(torch.get_num_threads())


def _identity(kind: type[Record], cell: Cell) -> dict[str, Any]:
    """The fields that say what a failed record was about."""
    known: dict[str, Any] = {
        "model": cell.model.text,
        "recipe": cell.recipe.text,
        "codec": cell.codec.text,
        "seed": cell.seed,
        "machine": measure.machine(),
        "weights_sha256": "",
        "split": SPLIT,
    }
    return {name: known[name] for name in kind.__struct_fields__ if name in known}


def _reason(stage: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"{stage}: out of memory"
    return f"{stage}: {type(error).__name__}: {error}"


def _to_numpy(state: Weights) -> dict[str, Array]:
    """Tensors as arrays over the same memory. Raises Unencodable for a dtype numpy lacks."""
    try:
        return {name: tensor.detach().numpy() for name, tensor in state.items()}
    except TypeError as error:
        raise Unencodable(f"a tensor's dtype has no numpy form ({error}); use float32") from error


def _with_bytes(size: TensorSize, n_bytes: int) -> TensorSize:
    return TensorSize(
        name=size.name,
        kind=size.kind,
        n=size.n,
        n_bytes=n_bytes,
        coded=size.coded,
        entropy_bits=size.entropy_bits,
    )


def _zeros(prepared: Prepared) -> float | None:
    """Share of coded values that are zero."""
    count = sum(tensor.values.size for tensor in prepared.coded.values())
    if not count:
        return None
    nonzero = sum(int(np.count_nonzero(tensor.values)) for tensor in prepared.coded.values())
    return 1.0 - nonzero / count
