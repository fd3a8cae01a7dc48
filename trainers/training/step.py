"""One training step: the only place that runs forward, backward, clipping and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from slashbench import trees
from slashbench.contracts import DEFAULT_EXECUTION, Execution, TrainingHook, TrainingPlan
from slashbench.errors import TrainingDiverged, UsageError
from slashbench.trainers.training import distributed
from slashbench.trainers.training.schedule import learning_rate
from slashbench.trainers.training.sharding import is_sharded

LossOf = Callable[[nn.Module, Any], torch.Tensor]


class TrainingStep:
    """A module with its loss and AdamW, one step at a time.

    The optimiser is that of the plan: linear warm-up to the peak learning rate, then cosine decay
    to zero over `plan.steps`. `module` must be on the device that `execution` names.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_of: LossOf,
        plan: TrainingPlan,
        execution: Execution = DEFAULT_EXECUTION,
    ) -> None:
        self.module, self.loss_of, self.plan, self.execution = module, loss_of, plan, execution
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )

    def take(self, batches: Iterator[Any], hook: TrainingHook, step: int) -> float:
        """Take step number `step`, counted from 0, on the next batches, with `hook` around it.

        Returns the mean loss of the batches over all processes, in nats. Raises TrainingDiverged
        if it or the gradient is not finite, before the optimiser's step; UsageError if there are
        no more batches.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.plan)
        self.optimizer.zero_grad(set_to_none=True)
        hook.before_forward()
        loss = self._backward(batches)
        _check("loss", loss, step)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.plan.clip_norm)
        norm = norm.full_tensor() if is_sharded(norm) else norm
        _check("norm of the gradient", float(norm), step)
        hook.before_step()
        self.optimizer.step()
        hook.after_step()
        return loss

    def _backward(self, batches: Iterator[Any]) -> float:
        """Add up the gradients of the mean loss of one step's batches. Returns that loss."""
        execution, total = self.execution, 0.0
        for _ in range(execution.accumulate):
            try:
                batch, weight = distributed.share(next(batches))
            except StopIteration:
                raise UsageError("the model's `batches` came to an end; they must go on") from None
            with torch.autocast(
                execution.device, torch.bfloat16, enabled=execution.precision == "bf16"
            ):
                batch = to_device(batch, execution.device)
                loss = self.loss_of(self.module, batch).float() * weight
            (loss / execution.accumulate).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return distributed.mean(total / execution.accumulate)


def _check(what: str, value: float, step: int) -> None:
    """Raise TrainingDiverged for a value that is not finite."""
    if not math.isfinite(value):
        raise TrainingDiverged(
            f"the {what} is {value} at step {step + 1}; lower the learning rate or lam"
        )


def to_device(batch: Any, device: str) -> Any:
    """Return a batch with every tensor on `device`."""
    return trees.mapped(
        batch, lambda leaf: leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf
    )
