"""Pairs of checkpoints, the second to be coded given the first: `bench speed --data delta:NAME`.

steps1, 10, 100     kjv-gpt in the middle of its training, that many steps apart
slow1, 10, 100      kjv-gpt trained on at a constant rate of 1e-6, as in reinforcement learning
finetune            all-MiniLM-L6-v2 fine-tuned here, given the public checkpoint
finetune-step1      one step in the middle of that fine-tune
siblings            two fine-tunes of it, with other batches
pruned, quantized   kjv-gpt with half of its weights at zero, or at 4 bits a weight by rows, given
                    its float32
adam                both moments of the optimiser, one step apart

with -fp32 or -bf16 after it (the last four in fp32 only). Of MiniLM, two of six layers and every
fifth row of the embeddings are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch

from slashbench.bench.speed import delta_training
from slashbench.contracts import Weights
from slashbench.errors import UsageError
from slashbench.trainers.quantisers.rtn import RoundToNearest

Array = npt.NDArray[Any]

PREFIX = "delta:"

_TYPES = {"fp32": np.dtype(np.float32), "bf16": np.dtype(ml_dtypes.bfloat16)}
_LEAST = 1024  # values of a tensor that is taken
_ROWS = 5  # every so many rows of MiniLM's embeddings
_LAYERS = "layer.0.", "layer.3."

#: name -> run and step of the new checkpoint, and of its base; None: made of that.
_PAIRS: dict[str, tuple[tuple[str, int], tuple[str, int]]] = {
    "steps1": (("kjv-gpt", 401), ("kjv-gpt", 400)),
    "steps10": (("kjv-gpt", 410), ("kjv-gpt", 400)),
    "steps100": (("kjv-gpt", 500), ("kjv-gpt", 400)),
    "slow1": (("kjv-gpt-slow", 21), ("kjv-gpt-slow", 20)),
    "slow10": (("kjv-gpt-slow", 30), ("kjv-gpt-slow", 20)),
    "slow100": (("kjv-gpt-slow", 120), ("kjv-gpt-slow", 20)),
    "finetune": (("minilm-kjv-0", 250), ("minilm-kjv-0", 0)),
    "finetune-step1": (("minilm-kjv-0", 126), ("minilm-kjv-0", 125)),
    "siblings": (("minilm-kjv-1", 250), ("minilm-kjv-0", 250)),
}
_MADE = ("pruned-fp32", "quantized-fp32", "adam-fp32")

NAMES = (*(f"{name}-{dtype}" for dtype in _TYPES for name in _PAIRS), *_MADE)


def checked(name: str) -> str:
    """Return the name of a data set, with its prefix. Raises UsageError for no such set."""
    if name.removeprefix(PREFIX) not in NAMES:
        raise UsageError(f"no data {name!r}; deltas are {PREFIX}all and {', '.join(NAMES)}")
    return name


def pair(name: str, cache: Path, progress: delta_training.Progress) -> list[tuple[Array, Array]]:
    """Return (new, base) for every tensor of a data set, trained first if need be."""
    name = name.removeprefix(PREFIX)

    def of(run: str, step: int, *, adam: bool = False) -> Weights:
        return delta_training.load(delta_training.checkpoint(run, step, cache, progress, adam=adam))

    dtype = _TYPES["fp32"]
    if name == "adam-fp32":
        new, base = of("kjv-gpt", 401, adam=True), of("kjv-gpt", 400, adam=True)
    elif name in _MADE:
        base = of("kjv-gpt", 800)
        new = _pruned(base) if name == "pruned-fp32" else _quantized(base)
    else:
        which, _, kind = name.rpartition("-")
        (run, step), (base_run, base_step) = _PAIRS[which]
        new, base, dtype = of(run, step), of(base_run, base_step), _TYPES[kind]
    return [
        (_taken(key, new[key], dtype), _taken(key, base[key], dtype))
        for key in new
        if key in base and new[key].numel() >= _LEAST and _is_taken(key)
    ]


def _is_taken(name: str) -> bool:
    return not name.startswith("encoder.encoder.") or any(part in name for part in _LAYERS)


def _taken(name: str, tensor: torch.Tensor, dtype: np.dtype[Any]) -> Array:
    if name.startswith("encoder.embeddings.") and tensor.ndim == 2:
        tensor = tensor[::_ROWS]
    return tensor.numpy().astype(dtype)


def _of_matrices(weights: Weights, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Weights:
    return {name: change(name, w) if w.ndim == 2 else w for name, w in weights.items()}


def _pruned(weights: Weights) -> Weights:
    """Zero the smaller half of each matrix."""
    return _of_matrices(
        weights, lambda _, w: torch.where(w.abs() < w.abs().flatten().median(), 0.0, w)
    )


def _quantized(weights: Weights) -> Weights:
    quantiser = RoundToNearest(bits=4, granularity="channel")

    def rounded(name: str, weight: torch.Tensor) -> torch.Tensor:
        found = quantiser.quantize(name, weight.numpy())
        assert found is not None and found.grid is not None, "matrices are never left as they are"
        return torch.from_numpy(found.grid.rebuild(found.values))

    return _of_matrices(weights, rounded)
