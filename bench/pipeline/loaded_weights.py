"""Weights of a store in memory: the last of each kind, which neighbouring cells share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from slashbench.bench.checkpoint import sources, state_dict
from slashbench.bench.pipeline import evaluate
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.quantized import Prepared, prepare
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.contracts import Calibration, Reference, Weights
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


class LoadedWeights:
    """The weights behind records: trained, quantized, decoded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: _Last[Weights] = _Last()
        self._reference: _Last[Reference] = _Last()
        self._prepared: _Last[Prepared] = _Last()

    def load(self, point: CheckpointRecord) -> Weights:
        """Return the weights of a float checkpoint."""
        return self._weights.of(
            point.artifact_sha256, lambda: state_dict.load(self.artifact(point.artifact_sha256))
        )

    def float_model(self, cell: Cell, trained: CheckpointRecord) -> Reference:
        """Return the model with its trained float weights, and its outputs."""

        def make() -> Reference:
            return Reference(evaluate.module_of(cell.model.item, cell.seed, self.load(trained)))

        return self._reference.of(trained.weights_sha256, make)

    def quantized(self, cell: Cell, point: CheckpointRecord) -> Prepared:
        """Return a float checkpoint as the cell's quantiser makes it."""
        quantiser = cell.recipe.quantiser

        def make() -> Prepared:
            source = sources.of_file(self.artifact(point.artifact_sha256))
            return prepare(Calibration(cell.model.item, cell.seed), quantiser, source)

        return self._prepared.of((point.artifact_sha256, quantiser.text), make)

    def decoded(self, cell: Cell, point: CheckpointRecord, file: CompressRecord) -> Weights:
        """Return what a fresh process decodes from the file; of a bound, dequantized weights."""
        if file.bound:
            return state_dict.to_torch(self.quantized(cell, point).dequantized())
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            out = Path(folder) / "decoded.safetensors"
            decode_in_fresh_process(self.artifact(file.artifact_sha256), out)
            return state_dict.load(out)

    def has_artifact(self, found: CheckpointRecord | CompressRecord) -> bool:
        """Return whether a record's file is there, and whole."""
        return self._store.find_artifact(found.artifact_sha256) is not None

    def artifact(self, sha256: str) -> Path:
        """Return a file of the store. Raises CorruptFile where it is gone."""
        path = self._store.find_artifact(sha256)
        if path is None:
            raise CorruptFile("an artifact disappeared while it was in use; run again")
        return path
