"""What engines cost, measured: start-up, per cell, the driver's memory, what two processes save.

Run by hand, `python -m tests.engines.overheads start|startup|noop|speedup COUNT`, or by
test_overheads.py. Prints one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from distributed import Client, LocalCluster
from rich.console import Console

from slashbench.bench.checkpoint import state_dict
from slashbench.bench.commands.progress import Display
from slashbench.bench.engines import session
from slashbench.bench.engines.base import Engine
from slashbench.bench.engines.driver import Driver
from slashbench.bench.engines.inline import InlineProgress
from slashbench.bench.engines.jobs import Job
from slashbench.bench.engines.placement import PlacementRequest
from slashbench.bench.machine import provenance
from slashbench.bench.pipeline import keys
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Cell, CellText, Request
from slashbench.bench.store.store import Store
from slashbench.record import CheckpointRecord, CompressRecord, EvaluateRecord, key_of

STEPS = "/".join(f"{2.0**-k + i * 1e-4:.6f}" for k in (4, 5, 6, 7, 8) for i in range(20))


def cells(count: int, codec: str) -> list[Cell]:
    """`count` cells of one model: 100 quantisers under so many seeds."""
    found = matrix.plan(
        Request(
            models="digits-mlp",
            recipes=f"plain+quantize:step={STEPS}",
            codecs=codec,
            seeds=f"0..{max(count // 100, 1) - 1}",
        )
    ).cells
    return found[:count]


def prepare(store: Store, wanted: list[Cell], concluded: int) -> None:
    """Every stage of the cells has its record; the first `concluded` cells have their own too."""
    state = {"w": torch.zeros(2, 2)}
    artifact = store.put_artifact(state_dict.to_bytes(state))
    common: dict[str, Any] = {
        "status": "ok",
        "wall_s": 1.0,
        "provenance": provenance.provenance(1),
        "model": wanted[0].model.text,
    }
    sha256 = "ab" * 32
    model = wanted[0].model
    evaluate = key_of(
        "evaluate",
        model=model.config,
        inputs=model.item.inputs(),
        split="test",
        weights=sha256,
        torch=torch.__version__,
    )
    store.put(EvaluateRecord(key=evaluate, weights_sha256=sha256, split="test", **common))
    looks = Stages(store, "missing", InlineProgress(Display(Console(quiet=True))))
    seeds = set()
    for number, cell in enumerate(wanted):
        who = {**common, "recipe": cell.recipe.text, "seed": cell.seed}
        if cell.seed not in seeds:
            seeds.add(cell.seed)
            key = keys.checkpoint_key(cell, 0)
            store.put(
                CheckpointRecord(
                    key=key, artifact_sha256=artifact, weights_sha256=sha256, n_parameters=4, **who
                )
            )
        store.put(
            CompressRecord(
                key=keys.compress_key(cell),
                codec=cell.codec.text,
                bound=True,
                weights_sha256=sha256,
                **who,
            )
        )
        if number < concluded:
            looks.run(cell)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="slashbench-overheads-") as name:
        yield Path(name)


def start(count: int) -> dict[str, float]:
    """A plan of which all but 1 % is done: seconds until the first missing cell can start."""
    with folder() as out:
        prepare(Store(out), cells(count, "entropy"), count - count // 100)
        begun = time.perf_counter()
        wanted = cells(count, "entropy")
        with session.opened(
            PlacementRequest(jobs=0), Store(out), "missing", Display(Console(quiet=True))
        ) as work:
            missing = [cell for cell in wanted if work.stages.cached_cell(cell) is None]
        took = time.perf_counter() - begun
        assert len(missing) == count // 100
        return {"cells": count, "missing": len(missing), "seconds": took}


def bare_start() -> float:
    """Seconds that a cluster of two workers of Dask's takes, with nothing of ours in it."""
    begun = time.perf_counter()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        took = time.perf_counter() - begun
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)  # which it leaves behind, and our workers refuse
    return took


def our_start() -> float:
    """Seconds until a run on two processes can hand out its first cell."""
    with folder() as out:
        wanted = cells(100, "entropy")
        begun = time.perf_counter()
        with engaged(PlacementRequest(jobs=2), out, wanted):
            return time.perf_counter() - begun


def startup(rounds: int) -> dict[str, list[float]]:
    """Start-up, ours and Dask's own, by turns: the first of all, which imports, is neither's."""
    bare_start()
    our_start()
    took = [(bare_start(), our_start()) for _ in range(rounds)]
    return {
        "dask_s": [bare for bare, _ in took],
        "ours_s": [ours for _, ours in took],
        "beyond_s": [ours - bare for bare, ours in took],
    }


@contextlib.contextmanager
def engaged(
    request: PlacementRequest, out: Path, wanted: list[Cell]
) -> Iterator[tuple[Driver, Display]]:
    """A run of the cells as `bench run` starts it, but for its boards."""
    display = Display(Console(quiet=True))
    with (
        session.opened(request, Store(out), "missing", display) as work,
        display.over(wanted),
        work.engaged(wanted) as driver,
    ):
        yield driver, display


def noop(count: int) -> dict[str, float]:
    """Cells of which everything but their own record is there, on two processes."""
    with folder() as out:
        wanted = cells(count, "entropy")
        prepare(Store(out), wanted, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with engaged(PlacementRequest(jobs=2), out, wanted) as (driver, display):
            begun = time.perf_counter()
            driver.run(wanted)
            took = time.perf_counter() - begun
        assert display.done == count
        return {
            "cells": count,
            "ms_per_cell": 1e3 * took / count,
            "driver_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "driver_before_mb": before / 1024,
        }


def train(engine: Engine, wanted: list[Cell]) -> None:
    """Make the checkpoints of the cells, as many at a time as there are processes."""
    left, under_way = [Job(cell, "checkpoint") for cell in wanted], 0
    while left or under_way:
        while left and under_way < engine.slots():
            engine.submit(left.pop(0))
            under_way += 1
        for _, outcome in engine.wait():
            assert outcome.status == "done", outcome
            under_way -= 1


def half(cells: list[CellText], started: Barrier) -> None:
    """Train some cells, the first before the start."""
    with folder() as out:
        work = Stages(Store(out), "missing", InlineProgress(Display(Console(quiet=True))))
        for number, text in enumerate(cells):
            if number == 1:
                started.wait()
            work.checkpoint(text.cell(), 0)


def plain_pair(wanted: list[Cell]) -> float:
    """Seconds that two processes take, each for one half of the cells but its first."""
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(3)
    texts = [cell.spelled for cell in sorted(wanted, key=lambda cell: cell.recipe.text)]
    pair = [context.Process(target=half, args=(texts[n::2], started)) for n in range(2)]
    for process in pair:
        process.start()
    started.wait()
    begun = time.perf_counter()
    for process in pair:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - begun


def speedup(seeds: int) -> dict[str, float]:
    """The smoke suite's trainings under so many seeds: one process against two.

    warm: all but the first of each process, which loads what compiled code it needs; whole: all,
    the start of the processes included. plain: as warm, by two processes without an engine, each
    of which knows its half beforehand: what the machine makes of two.
    """
    first = {}
    for cell in matrix.plan(Request("smoke", seeds=f"0..{seeds - 1}")).cells:
        if cell.model.item.plan is not None:
            first.setdefault(keys.checkpoint_key(cell, 0), cell)
    wanted = list(first.values())
    warm, whole = {}, {}
    for jobs in (1, 2):
        with folder() as out:
            begun = time.perf_counter()
            with engaged(PlacementRequest(jobs=jobs), out, wanted) as (driver, _):
                train(driver.engine, wanted[:2])
                between = time.perf_counter()
                train(driver.engine, wanted[2:])
                done = time.perf_counter()
            warm[jobs], whole[jobs] = done - between, done - begun
    return {
        "trainings": len(wanted),
        "one_s": whole[1],
        "two_s": whole[2],
        "share_of_ideal_plain": warm[1] / plain_pair(wanted) / 2,
        "share_of_ideal_warm": warm[1] / warm[2] / 2,
        "share_of_ideal_whole": whole[1] / whole[2] / 2,
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    what = {"start": start, "startup": startup, "noop": noop, "speedup": speedup}[sys.argv[1]]
    print(json.dumps(what(int(sys.argv[2]))))
