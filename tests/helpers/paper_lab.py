"""Records of a study with known numbers, of a model of 1,000 weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slashbench.bench.machine import provenance
from slashbench.bench.pipeline.distribution import describe
from slashbench.bench.store.store import Store
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Record,
    TensorSize,
    Training,
    key_of,
)

N = 1000
CODECS = ("pack", *(f"exp-golomb:k={k}" for k in range(5)), "huffman", "rans")


@dataclass(frozen=True)
class Result:
    """What one recipe with one seed comes to."""

    bits: Callable[[str], float]  # codec -> bits per parameter
    accuracy: float
    float_accuracy: float | None = None  # the same, if None
    train_accuracy: float = 99.0
    shapes: tuple[float, float] = (1.4, 0.3)  # at the first and the last step
    weights: Any = None  # an array, for the distribution
    zeros: float = 0.1
    steps: int = 40  # of training


class Lab:
    """Writes the records of one recipe after another."""

    def __init__(self, folder: Path, model: str = "digits-mlp") -> None:
        self.store, self.model = Store(folder), model
        self.common: dict[str, Any] = {
            "status": "ok", "wall_s": 1.0, "model": model,
            "provenance": provenance.provenance(None),
        }  # fmt: skip

    def run(self, recipe: str, seed: int, result: Result, codecs: Sequence[str] = CODECS) -> None:
        chain = recipe.rpartition("+")[0]
        regime = chain.partition("+")[0]
        names = {
            what: key_of(what, model=self.model, recipe=recipe, seed=seed)
            for what in ("evaluate", "train", "weights", "float weights")
        } | {
            what: key_of(what, model=self.model, recipe=chain, seed=seed)
            for what in ("checkpoint", "evaluate_float")
        }
        lam = 0.0 if "lam=" not in regime else float(regime.split("lam=")[1].split(":")[0])
        log = [
            {"step": step, "loss": 2.0 / step, "rate": 1.0 + 0.1 / step, "lam": lam,
             "shape": result.shapes[step > 20]}
            for step in range(1, result.steps + 1)
        ]  # fmt: skip
        arrays = [] if result.weights is None else [result.weights]
        self.put(
            CheckpointRecord,
            key=names["checkpoint"], recipe=chain, seed=seed, n_parameters=N, native_bytes=4 * N,
            training=Training(
                steps=result.steps, wall_s=1, cpu_s=1, log=log if lam else [{"step": 1.0}]
            ),
            distribution=describe(arrays),
        )  # fmt: skip
        floats = result.accuracy if result.float_accuracy is None else result.float_accuracy
        for key, split, weights, value in (
            ("evaluate", "test", "weights", result.accuracy),
            ("train", "train", "weights", result.train_accuracy),
            ("evaluate_float", "test", "float weights", floats),
        ):
            self.put(
                EvaluateRecord,
                key=names[key], weights_sha256=names[weights], split=split, metric="accuracy",
                value=value, n=4,
            )  # fmt: skip
        for codec in codecs:
            size = N * result.bits(codec) / 8
            keys = {
                what: key_of(what, model=self.model, recipe=recipe, seed=seed, codec=codec)
                for what in ("cell", "compress")
            }
            self.put(
                CompressRecord,
                key=keys["compress"], recipe=recipe, codec=codec, seed=seed, file_bytes=size,
                ledger={"payload": round(size)}, zeros=result.zeros,
                tensors=[TensorSize(name="w", kind="matrix", n=N, n_bytes=round(size), coded=True,
                                    entropy_bits=7.0 * size)],
                weights_sha256=names["weights"],
            )  # fmt: skip
            self.put(
                CellRecord,
                key=keys["cell"], regime=regime, recipe=recipe, codec=codec, seed=seed,
                metric="accuracy", tolerance=1.0, checkpoint=names["checkpoint"],
                compress=keys["compress"], evaluate=names["evaluate"],
                evaluate_float=names["evaluate_float"],
            )  # fmt: skip

    def put(self, kind: type[Record], **fields: Any) -> None:
        self.store.put(kind(**{**self.common, **fields}))
