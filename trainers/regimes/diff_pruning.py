"""Diff pruning: fine-tune a difference whose entries are switched on and off by learned gates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.trainers.training import distributed
from slashbench.trainers.training.parameters import in_scope
from slashbench.trainers.training.schedule import learning_rate
from slashbench.trainers.training.snapshot import load_moments, moments

#: Of the hard concrete distribution (Louizos, Welling & Kingma): temperature, and the interval that
#: the sigmoid is stretched to before it is cut to [0, 1].
BETA, LOW, HIGH = 2.0 / 3.0, -0.1, 1.1
OPEN = 2.0  # the gates' logits at first: four in five are open


class HardConcreteGates(TrainingHook):
    """Train W = start + gate * difference and the gates, with a price on open gates.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        What gets gated differences. The optimiser of the loop never moves them.
    price : float
        Nats of loss for the expected share of open gates.
    gate_rate : float
        Learning rate of the gates' logits, at its peak.
    plan : TrainingPlan
        Whose learning rates the differences have.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        price: float,
        gate_rate: float,
        plan: TrainingPlan,
    ) -> None:
        self.parameters, self.price, self.plan = dict(parameters), price, plan
        self.start = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.moves = {name: torch.zeros_like(w) for name, w in self.start.items()}
        self.logits = {name: torch.full_like(w, OPEN) for name, w in self.start.items()}
        self.count = sum(w.numel() for w in self.start.values())
        self.gates_to_moves = gate_rate / plan.learning_rate
        self.optimizer = torch.optim.AdamW(
            [{"params": list(self.moves.values())}, {"params": list(self.logits.values())}],
            lr=plan.learning_rate,
            weight_decay=0.0,
            fused=True,
        )
        self.steps = 0  # done
        self._drawn: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def before_forward(self) -> None:
        """Draw the gates and put the gated differences in place."""
        for name, parameter in self._trained():
            draws = distributed.from_first(torch.rand_like(parameter))
            noise = draws.clamp_(1e-6, 1 - 1e-6).logit_()
            soft = noise.add_(self.logits[name]).div_(BETA).sigmoid_()
            self._drawn[name] = soft
            parameter.copy_(self.start[name].addcmul(_gate(soft), self.moves[name]))

    @torch.no_grad()
    def before_step(self) -> None:
        """Turn the gradients of the weights into those of differences and gates, and step."""
        shift = BETA * math.log(-LOW / HIGH)
        for name, parameter in self._trained():
            soft, logits = self._drawn[name], self.logits[name]
            grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            gate = _gate(soft)
            self.moves[name].grad = grad * gate
            inside = (gate > 0) & (gate < 1)
            slope = soft * (1 - soft) * ((HIGH - LOW) / BETA) * inside
            likely = torch.sigmoid(logits - shift)
            priced = likely * (1 - likely) * (self.price / self.count)
            self.logits[name].grad = grad * self.moves[name] * slope + priced
            parameter.grad = None
        moves, gates = self.optimizer.param_groups
        moves["lr"] = learning_rate(self.steps, self.plan)
        gates["lr"] = moves["lr"] * self.gates_to_moves
        self.optimizer.step()
        self.steps += 1

    @torch.no_grad()
    def finish(self) -> None:
        """Leave each gate where it stands without noise: closed below, open above, or between."""
        for name, parameter in self._trained():
            gate = _gate(self.logits[name].sigmoid())
            parameter.copy_(self.start[name].addcmul(gate, self.moves[name]))

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        """Return the parameters that nobody has frozen since."""
        return [(name, p) for name, p in self.parameters.items() if p.requires_grad]

    def log(self) -> dict[str, float]:
        """Return `zeros`, the share of gates that are closed without noise."""
        edge = math.log(-LOW / HIGH)
        closed = sum(int((logits <= edge).sum()) for logits in self.logits.values())
        return {"zeros": closed / self.count}

    def state(self) -> dict[str, torch.Tensor]:
        """Return differences, gates, their moments and the number of training steps done."""
        values = self._values()
        named = {f"value.{number}": value for number, value in enumerate(values)}
        return {"steps": torch.tensor(self.steps), **named, **moments(self.optimizer, values)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those."""
        self.steps = int(state["steps"])
        for number, value in enumerate(self._values()):
            value.copy_(state[f"value.{number}"])
        load_moments(self.optimizer, self._values(), state)

    def _values(self) -> list[torch.Tensor]:
        return [*self.moves.values(), *self.logits.values()]


def _gate(soft: torch.Tensor) -> torch.Tensor:
    return soft.mul(HIGH - LOW).add_(LOW).clamp_(0.0, 1.0)


class DiffPruning(Regime):
    """Fine-tune a sparse difference by hard concrete gates with a price on those that are open.

    Embedding tables stay as they are; a new head is trained whole, at no price. For recipes that go
    on with `delta`; `prune` behind it brings the difference to a sparsity that is asked for.

    Parameters
    ----------
    price : float
        Nats of loss for the share of entries that differ.
    peak : float
        Factor on the peak learning rate.
    gate_rate : float
        Learning rate of the gates' logits.

    References
    ----------
    Guo, Rush & Kim, Parameter-Efficient Transfer Learning with Diff Pruning, arXiv 2012.07463,
    eq. 3 to 5, without its groups and without the second training under a fixed mask. Gates:
    Louizos, Welling & Kingma, arXiv 1712.01312.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("price", "peak")

    def __init__(self, price: float = 1.0, peak: float = 2.5, gate_rate: float = 0.3) -> None:
        validate.not_negative(price=price)
        validate.positive(peak=peak, gate_rate=gate_rate)
        self.price, self.peak, self.gate_rate = price, peak, gate_rate

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan at another learning rate."""
        return Course(peak=self.peak).of(plan)

    def initialise(self, module: nn.Module) -> None:
        """Freeze embedding tables."""
        for layer in module.modules():
            if isinstance(layer, nn.Embedding):
                layer.weight.requires_grad_(False)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the gates of all pretrained parameters that are trained."""
        gated = {n: p for n, p in in_scope(parameters, "all").items() if n not in plan.new}
        return HardConcreteGates(gated, self.price, self.gate_rate, plan)
