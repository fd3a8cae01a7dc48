"""Records of cells with known numbers, for boards to be made of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy import stats

from slashbench.bench.machine import provenance
from slashbench.bench.report.boards.catalog import BOARDS
from slashbench.bench.report.data import results
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.output import fitted_screen, terminal
from slashbench.bench.store.store import Store
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    Distribution,
    EvaluateRecord,
    Samples,
    TensorSize,
    TimeRecord,
    Training,
    key_of,
)

N = 1000  # parameters: a 30x30 matrix, a 10x8 embedding, 20 in vectors


class Lab:
    """Writes the records of one cell after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder)
        self.common: dict[str, Any] = {"wall_s": 1.0, "provenance": provenance.provenance(None)}

    def cell(
        self,
        codec: str,
        file_bytes: float,
        *,
        recipe: str = "plain+quantize:step=2^-8",
        model: str = "m",
        seed: int = 0,
        items: list[float] | None = None,
        float_items: list[float] | None = None,
        higher: bool = True,
        tolerance: float = 1.0,
        failed: str = "",
        machine: str = "here",
        cpu_s: float = 2.0,
        decode_ns: int = 2_000_000,
        nll: float | None = None,
        beside: dict[str, float] | None = None,
        noise: float | None = None,
        distribution: Distribution | None = None,
        execution: str = "",
        regime: str = "",
        log: list[dict[str, float]] | None = None,
    ) -> None:
        chain = recipe.rpartition("+")[0]
        float_items = float_items or [100.0, 100.0, 100.0, 0.0]
        items = items or float_items
        bound = codec == "entropy"
        keys = {
            stage: key_of(stage, model=model, recipe=recipe, how=execution, seed=seed, codec=codec)
            for stage in ("compress", "time", "cell", "evaluate")
        } | {
            "checkpoint": key_of("checkpoint", model=model, chain=chain, how=execution, seed=seed),
            "evaluate_float": key_of("float", model=model, chain=chain, how=execution, seed=seed),
        }
        who: dict[str, Any] = {
            "model": model,
            "recipe": recipe,
            "execution": execution,
            "codec": codec,
            "seed": seed,
        }
        put = self.store.put
        if not failed:
            put(
                CheckpointRecord(
                    key=keys["checkpoint"],
                    status="ok",
                    model=model,
                    recipe=chain,
                    execution=execution,
                    seed=seed,
                    n_parameters=N,
                    native_bytes=4 * N,
                    training=Training(steps=7, wall_s=2.5, cpu_s=cpu_s, log=log or []),
                    distribution=distribution,
                    **self.common,
                )
            )
            tensors = [
                TensorSize(
                    name="embed", kind="embedding", n=80, n_bytes=20, coded=True, entropy_bits=100.0
                ),
                TensorSize(
                    name="w", kind="matrix", n=900, n_bytes=450, coded=True, entropy_bits=3430.0
                ),
                TensorSize(name="b", kind="vector", n=20, n_bytes=80, coded=False),
                TensorSize(name="ids", kind="buffer", n=5, n_bytes=40, coded=False),
            ]
            put(
                CompressRecord(
                    key=keys["compress"],
                    status="ok",
                    bound=bound,
                    file_bytes=file_bytes,
                    ledger={} if bound else {"payload": int(file_bytes) - 40, "buffers": 40},
                    tensors=tensors,
                    zeros=0.25,
                    weights_sha256="w",
                    **who,
                    **self.common,
                )
            )
            for key, values in (("evaluate", items), ("evaluate_float", float_items)):
                put(
                    EvaluateRecord(
                        key=keys[key],
                        status="ok",
                        model=model,
                        weights_sha256="w",
                        split="test",
                        metric="accuracy" if higher else "bits per byte",
                        value=float(np.mean(values)),
                        stderr=float(stats.sem(values)),
                        n=len(values),
                        higher_is_better=higher,
                        per_item=values,
                        also=({} if nll is None else {"nll": nll}) | (beside or {}),
                        noise=noise if key == "evaluate_float" else None,
                        **self.common,
                    )
                )
            if not bound:
                samples = Samples(
                    wall_ns=[9 * decode_ns, decode_ns // 2, decode_ns], cpu_ns=[1, 1, 1], warmup=1
                )
                put(
                    TimeRecord(
                        key=keys["time"],
                        status="ok",
                        machine=machine,
                        native_bytes=3920,
                        n_coded=980,
                        encode=samples,
                        decode=samples,
                        **who,
                        **self.common,
                    )
                )
        put(
            CellRecord(
                key=keys["cell"],
                status="failed" if failed else "ok",
                reason=failed,
                regime=regime or recipe.partition("+")[0],
                given_base="+delta+" in recipe,
                metric="accuracy",
                tolerance=tolerance,
                checkpoint=keys["checkpoint"],
                compress=keys["compress"],
                evaluate=keys["evaluate"],
                evaluate_float=keys["evaluate_float"],
                time="" if bound else keys["time"],
                **who,
                **self.common,
            )
        )

    def results(self) -> Results:
        return results.load(self.store)

    def rows(self) -> list[Row]:
        return list(self.results().rows)

    def first_screen(self, width: int = 100) -> str:
        console = Console(file=io.StringIO(), width=width)
        fitted_screen.show(self.results(), console)
        output = console.file
        assert isinstance(output, io.StringIO)
        return output.getvalue()

    def shown(self, width: int = 100, boards: Sequence[str] = tuple(BOARDS)) -> str:
        console = Console(file=io.StringIO(), width=width)
        terminal.show(self.results(), console, boards)
        output = console.file
        assert isinstance(output, io.StringIO)
        return output.getvalue()
