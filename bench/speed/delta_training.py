"""Checkpoints of real trainings, some steps apart: what deltas are taken of.

A run is trained once and its checkpoints are kept in a folder, under the hash of all that
determines them. Master weights are float32; a bfloat16 checkpoint is these, rounded.

kjv-gpt        from scratch, its own plan; checkpoints in the middle, at half the peak rate
kjv-gpt-slow   the trained model goes on at a constant rate of 1e-6, as in reinforcement learning
minilm-kjv-0   all-MiniLM-L6-v2 and its fine-tune; checkpoints in the middle and at the end
minilm-kjv-1   the same with other batches
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import safetensors
import safetensors.torch
import torch
from torch import nn

from slashbench.bench.machine.atomic_files import explained, write_atomically
from slashbench.bench.models.catalog import MODELS
from slashbench.contracts import Model, TrainingPlan, Weights
from slashbench.errors import CorruptFile
from slashbench.link import only
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.training import loop, setup
from slashbench.trainers.training.step import TrainingStep

#: Where checkpoints are kept, unless the user says otherwise.
CACHE = Path("results/local/deltas")

_SLOW = TrainingPlan(steps=10**6, learning_rate=1e-6, warmup=1)  # as good as constant

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class CheckpointRun:
    """One training, and the steps after which its weights are kept.

    optimizer: the steps after which the moments of Adam are kept too. plan: None for the model's
    own. after: the run, and its step, whose weights this one begins with; None for the model's.
    """

    model: str
    seed: int
    steps: tuple[int, ...]
    optimizer: tuple[int, ...] = ()
    plan: TrainingPlan | None = None
    after: tuple[str, int] | None = None


RUNS: dict[str, CheckpointRun] = {
    "kjv-gpt": CheckpointRun("kjv-gpt", 0, (400, 401, 410, 500, 800), (400, 401)),
    "kjv-gpt-slow": CheckpointRun(
        "kjv-gpt", 0, (20, 21, 30, 120), plan=_SLOW, after=("kjv-gpt", 800)
    ),
    "minilm-kjv-0": CheckpointRun("minilm-kjv", 0, (0, 125, 126, 250)),
    "minilm-kjv-1": CheckpointRun("minilm-kjv", 1, (250,)),
}


def checkpoint(
    name: str, step: int, cache: Path, progress: Progress, *, adam: bool = False
) -> Path:
    """Return the file of one checkpoint of a run, trained now if it is not there.

    adam: the moments of the optimiser in place of the weights. Raises StoreUnusable where it can't
    be kept.
    """
    run = RUNS[name]
    wanted = kept_at(name, step, cache, adam=adam)
    folder = wanted.parent
    if not wanted.exists():
        lock = filelock.FileLock(folder / ".lock")
        with explained(folder, elsewhere="run where results/local can be written"):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            if not wanted.exists():
                _train(name, run, folder, cache, progress)
        finally:
            lock.release()
    return wanted


def load(path: Path) -> Weights:
    """Return the tensors of a checkpoint that was kept. Raises CorruptFile."""
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise CorruptFile(f"{path} is damaged: {error}; remove it: it is trained anew") from error


def kept_at(name: str, step: int, cache: Path, *, adam: bool = False) -> Path:
    """Return where a checkpoint is, or will be."""
    return cache / f"{name}-{_key(name)[:12]}" / _file(step, adam=adam)


def _file(step: int, *, adam: bool) -> str:
    return f"{'adam' if adam else 'weights'}-{step}.safetensors"


def _key(name: str) -> str:
    """Return the hash of all that determines a run."""
    run = RUNS[name]
    model: Model = only(MODELS, run.model).item
    about = {
        "model": only(MODELS, run.model).config,
        "inputs": model.inputs(),
        "plan": repr(run.plan or model.plan),
        "seed": run.seed,
        "loop": loop.REVISION,
        "steps": (run.steps, run.optimizer),
        "after": (run.after, _key(run.after[0])) if run.after else None,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _train(name: str, run: CheckpointRun, folder: Path, cache: Path, progress: Progress) -> None:
    model: Model = only(MODELS, run.model).item
    with _torch_as_it_was(), loop.threads(model.threads):
        ready = setup.set_up(model, Plain(), run.seed)
        if run.after is not None:
            first = checkpoint(*run.after, cache, progress)
            ready.module.load_state_dict(load(first), strict=False)
        step = TrainingStep(ready.module, ready.loss_of, run.plan or ready.plan)
        batches: Iterator[Any] = model.batches(run.seed)
        ready.module.train()
        for at in range(run.steps[-1] + 1):
            if at in run.steps:
                _write(folder / _file(at, adam=False), dict(ready.module.named_parameters()))
            if at in run.optimizer:
                _write(folder / _file(at, adam=True), _moments(ready.module, step.optimizer))
            if at < run.steps[-1]:
                progress(f"training {name} for its checkpoints", at / run.steps[-1])
                step.take(batches, ready.hook, at)


def _moments(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in module.named_parameters():
        state = optimizer.state[parameter]
        for moment in ("exp_avg", "exp_avg_sq"):
            found[f"{name}.{moment}"] = state[moment]
    return found


def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    kept = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, safetensors.torch.save(kept, metadata={"format": "pt"}))


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Leave the sources of chance, and the choice of kernels, as they were."""
    strict = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict)
