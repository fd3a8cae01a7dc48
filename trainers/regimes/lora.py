"""LoRA: fine-tune matrices by adding a product of two thin ones; what is pretrained stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.errors import UsageError
from slashbench.trainers.training.parameters import is_narrow
from slashbench.trainers.training.schedule import learning_rate
from slashbench.trainers.training.snapshot import load_moments, moments


class LowRank(TrainingHook):
    """Train left and right factors by AdamW in place of the matrices; W = start + left @ right.

    Parameters
    ----------
    matrices : mapping of str to nn.Parameter
        What gets factors. The optimiser of the loop never moves them.
    rank : int
        Columns of a left factor.
    scale : float
        Factor on the product: alpha / rank of the paper.
    plan : TrainingPlan
        Whose learning rates the factors have.
    """

    def __init__(
        self, matrices: Mapping[str, nn.Parameter], rank: int, scale: float, plan: TrainingPlan
    ) -> None:
        self.matrices, self.scale, self.plan = dict(matrices), scale, plan
        self.start = {name: p.detach().clone() for name, p in self.matrices.items()}
        self.left = {n: w.new_zeros(len(w), rank) for n, w in self.start.items()}
        self.right = {
            n: torch.randn(rank, w.shape[1]).to(w.device) / math.sqrt(w.shape[1])
            for n, w in self.start.items()
        }
        self.factors = [*self.left.values(), *self.right.values()]
        self.optimizer = torch.optim.AdamW(
            self.factors, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.steps = 0  # done

    @torch.no_grad()
    def before_step(self) -> None:
        """Turn the gradients of the matrices into those of the factors, and step."""
        for name, parameter in self.matrices.items():
            grad = parameter.grad
            if grad is None:  # it was frozen
                self.left[name].grad = self.right[name].grad = None
                continue
            left, right = self.seen(name)
            self.left[name].grad = self.scale * grad @ right.T
            self.right[name].grad = self.scale * left.T @ grad
            parameter.grad = None
        self.add_price()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.steps, self.plan)
        self.optimizer.step()
        self.steps += 1

    def add_price(self) -> None:
        """Add a term's gradient to those of the factors; here there is none."""

    @torch.no_grad()
    def after_step(self) -> None:
        """Make the matrices anew."""
        for name, parameter in self.matrices.items():
            if not parameter.requires_grad:
                continue
            left, right = self.seen(name)
            parameter.copy_(self.start[name].add(left @ right, alpha=self.scale))

    def seen(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the factors of a matrix as the forward pass has them."""
        return self.left[name], self.right[name]

    def state(self) -> dict[str, torch.Tensor]:
        """Return factors, their moments and the number of training steps done."""
        found = {"steps": torch.tensor(self.steps)}
        for number, factor in enumerate(self.factors):
            found[f"factor.{number}"] = factor
        return {**found, **moments(self.optimizer, self.factors)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those."""
        self.steps = int(state["steps"])
        for number, factor in enumerate(self.factors):
            factor.copy_(state[f"factor.{number}"])
        load_moments(self.optimizer, self.factors, state)


class Lora(Regime):
    """Fine-tune all linear layers by low-rank differences, and a new head whole (LoRA).

    Embeddings and vectors stay as they are. For recipes that go on with `delta+factors`, which
    finds the two factors of each difference again.

    Parameters
    ----------
    rank : int
        Of the difference of each matrix.
    peak : float
        Factor on the peak learning rate.
    scale : float
        Factor on the product of both factors: alpha / rank of the paper.

    References
    ----------
    Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685, eq. 3. All
    linear layers get factors, as in Dettmers et al., QLoRA, arXiv 2305.14314, section 4.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("rank", "peak")

    def __init__(self, rank: int = 4, peak: float = 10.0, scale: float = 1.0) -> None:
        validate.at_least(1, rank=rank)
        validate.positive(peak=peak, scale=scale)
        self.rank, self.peak, self.scale = rank, peak, scale

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan at another learning rate."""
        return Course(peak=self.peak).of(plan)

    def initialise(self, module: nn.Module) -> None:
        """Freeze all but linear layers' matrices."""
        linear = {id(m.weight) for m in module.modules() if isinstance(m, nn.Linear)}
        tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
        for parameter in module.parameters():
            parameter.requires_grad_(id(parameter) in linear - tables)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> LowRank:
        """Return the factors of all linear layers but new ones, which are trained whole.

        Raises UsageError if there are none, or for parameters of fewer than 32 bits.
        """
        return LowRank(factored(parameters, plan), self.rank, self.scale, plan)


def factored(parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> dict[str, nn.Parameter]:
    """Return the matrices that get factors, and let what is new be trained whole.

    Raises UsageError if there are none, or for parameters of fewer than 32 bits.
    """
    matrices = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.requires_grad and parameter.ndim == 2 and name not in plan.new
    }
    if not matrices:
        raise UsageError("the model has no pretrained linear layer, so LoRA has nothing to add")
    if narrow := [name for name, p in matrices.items() if is_narrow(p)]:
        raise UsageError(f"{narrow[0]} has fewer than 32 bits: train in float32")
    for name in plan.new:
        parameters[name].requires_grad_(True)
    return matrices
