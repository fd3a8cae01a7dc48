"""Primary metrics: a loss for every test item, and what stands beside it.

The primary metric of a model is a mean loss, lower is better, in nats per answer (bits per byte
for language models). Losses of two sets of weights on the same items are paired, so a small
difference shows where accuracy, which moves only when an answer changes, is silent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from slashbench.arrays import Float64s
from slashbench.contracts import Metrics

Flags = npt.NDArray[np.bool_]

#: Largest rise of a mean loss, in nats, that counts as equal quality: the right answer gets, in
#: the geometric mean, at most 1 % less probability. One rule for every model whose metric is a
#: cross-entropy; for bits per byte it is the same rise per byte of text.
TOLERANCE_NATS = 0.01
TOLERANCE_BITS = TOLERANCE_NATS / math.log(2)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered, one entry per answer; the last three only beside a reference.

    Attributes
    ----------
    nats
        Cross-entropy of the right answer.
    right
        Whether the most probable answer is the right one.
    kl
        KL divergence from the reference's distribution to this one, in nats.
    same_top
        Whether both give the same most probable answer.
    flipped
        Whether one is right where the other is wrong.
    """

    nats: Float64s
    right: Flags
    kl: Float64s | None = None
    same_top: Flags | None = None
    flipped: Flags | None = None


def answers(
    logits: torch.Tensor, targets: torch.Tensor, reference: torch.Tensor | None = None
) -> Answers:
    """Score logits (n, classes) against targets (n,), and beside a reference's logits if given."""
    nats = functional.cross_entropy(logits, targets, reduction="none").double().numpy()
    top = logits.argmax(-1)
    right = (top == targets).numpy()
    if reference is None:
        return Answers(nats, right)
    log_p, log_q = functional.log_softmax(reference, -1), functional.log_softmax(logits, -1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).double().numpy()
    reference_top = reference.argmax(-1)
    return Answers(
        nats,
        right,
        kl=kl,
        same_top=(top == reference_top).numpy(),
        flipped=(right != (reference_top == targets).numpy()),
    )


def joined(parts: Sequence[Answers]) -> Answers:
    """Join the answers of several batches, in order."""
    columns: dict[str, Any] = {}
    for field in fields(Answers):
        column = [getattr(part, field.name) for part in parts]
        columns[field.name] = None if column[0] is None else np.concatenate(column)
    return Answers(**columns)


def cross_entropy(found: Answers) -> Metrics:
    """Return the mean cross-entropy in nats per answer, accuracy and the like beside it."""
    return Metrics(
        name="cross-entropy, nats",
        value=float(found.nats.mean()),
        stderr=standard_error(found.nats),
        n=found.nats.size,
        higher_is_better=False,
        per_item=found.nats.tolist(),
        also=secondary(found),
    )


def secondary(found: Answers) -> dict[str, float]:
    """Return what stands beside the loss.

    Keys: `accuracy` in percent; beside a reference `kl` (nats per answer) with `kl_stderr`,
    `same_top` and `flips` in percent.
    """
    also = {"accuracy": 100.0 * float(found.right.mean())}
    if found.kl is not None and found.same_top is not None and found.flipped is not None:
        also |= {
            "kl": max(0.0, float(found.kl.mean())),  # rounding may leave it just below 0
            "kl_stderr": standard_error(found.kl),
            "same_top": 100.0 * float(found.same_top.mean()),
            "flips": 100.0 * float(found.flipped.mean()),
        }
    return also


def standard_error(values: Float64s) -> float:
    """Standard error of the mean of independent values; 0 for a single one."""
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else 0.0
