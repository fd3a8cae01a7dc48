"""Weights of a store in memory: the last of each kind, which neighbouring cells share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from torch import nn

from slashbench.bench.checkpoint import sources, state_dict, update
from slashbench.bench.machine import heap
from slashbench.bench.pipeline import evaluate, keys
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.kept_answers import KeptAnswers
from slashbench.bench.pipeline.quantized import Prepared, prepare
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.contracts import Calibration, Reference, Split, Weights
from slashbench.errors import CorruptFile
from slashbench.record import CheckpointRecord, CompressRecord

T = TypeVar("T")


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

    def forget(self) -> None:
        """Free what was made last."""
        self._kept = None


class LoadedWeights:
    """The weights behind records: trained, quantized, decoded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: _Last[Weights] = _Last()
        self._reference: _Last[Reference] = _Last()
        self._prepared: _Last[Prepared] = _Last()
        self._base: _Last[Weights] = _Last()
        self._base_file: _Last[str] = _Last()
        self._model = ""

    def turn_to(self, model: str) -> None:
        """Free what is of other models than this one."""
        if model != self._model:
            self.forget()
            self._model = model

    def forget(self) -> None:
        """Free everything, for the system to have: a training needs the memory."""
        everything = (self._weights, self._reference, self._prepared, self._base, self._base_file)
        for kept in everything:
            kept.forget()
        heap.give_back()

    def load(self, point: CheckpointRecord) -> Weights:
        """Return the weights of a float checkpoint."""
        return self._weights.of(
            point.artifact_sha256, lambda: state_dict.load(self.artifact(point.artifact_sha256))
        )

    def base(self, cell: Cell, depth: int) -> Weights:
        """Return what a checkpoint after `depth` transforms is a difference to; empty: it is whole.

        depth: of the cell's recipe.
        """
        model = cell.model
        if not cell.recipe.gives_differences(depth):
            return {}
        return self._base.of(model.text, model.item.base)

    def whole(self, cell: Cell, depth: int, weights: Weights) -> Weights:
        """Return the weights of a checkpoint after `depth` transforms as the model has them."""
        base = self.base(cell, depth)
        if not base:
            return weights
        arrays = state_dict.to_numpy(weights)
        return state_dict.to_torch(update.applied(state_dict.to_numpy(base), arrays))

    def base_file(self, cell: Cell, depth: int) -> Path | None:
        """Return a plain file of the base; None where the checkpoint is whole."""
        base = self.base(cell, depth)
        if not base:
            return None
        sha256 = self._base_file.of(
            cell.model.text, lambda: self._store.put_artifact(state_dict.to_bytes(base))
        )
        return self.artifact(sha256)

    def float_model(self, cell: Cell, trained: CheckpointRecord, split: Split) -> Reference:
        """Return the model with its trained float weights, and its answers to a split."""
        evaluation = keys.evaluate_key(cell, trained.weights_sha256, "", split)

        def build() -> nn.Module:
            return evaluate.module_of(cell.model.item, cell.seed, self.load(trained))

        return self._reference.of(evaluation, lambda: KeptAnswers(self._store, evaluation, build))

    def quantized(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        """Return a float checkpoint as the cell's quantiser makes it."""
        quantiser = cell.recipe.quantiser

        def make() -> Prepared:
            self._weights.forget()  # a calibrated quantiser needs the memory
            heap.give_back()
            source = sources.of_file(self.artifact(point.artifact_sha256))
            base = self.base(cell, len(cell.recipe.transforms))
            calibration = Calibration(cell.model.item, cell.seed, base=base)
            return prepare(calibration, quantiser, source)

        return self._prepared.of((point.artifact_sha256, quantiser.text), make)

    def decoded(self, cell: Cell, point: CheckpointRecord, file: CompressRecord) -> Weights:
        """Return what a fresh process decodes from the file; of a bound, dequantized weights.

        Where the file holds differences, the base is added.
        """
        if file.bound:
            return state_dict.to_torch(self.quantized(cell, point).dequantized())
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            depth = len(cell.recipe.transforms)
            base = self.base_file(cell, depth)
            decode_in_fresh_process(self.artifact(file.artifact_sha256), out, base)
            return self.whole(cell, depth, state_dict.load(out))

    def has_artifact(self, found: CheckpointRecord | CompressRecord) -> bool:
        """Return whether a record's file is there, and whole."""
        return self._store.find_artifact(found.artifact_sha256) is not None

    def artifact(self, sha256: str) -> Path:
        """Return a file of the store. Raises CorruptFile where it is gone."""
        path = self._store.find_artifact(sha256)
        if path is None:
            raise CorruptFile("an artifact disappeared while it was in use; run again")
        return path
