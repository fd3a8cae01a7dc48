"""A running average of the weights, which training ends with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from slashbench.contracts import TrainingHook
from slashbench.trainers.training.parameters import local, widened


class WeightAverage(TrainingHook):
    """Average trained parameters over steps; the last steps count most.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        To average.
    kept : float
        Share of the average that a step keeps; the first steps keep less.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], kept: float) -> None:
        self.parameters = {n: p for n, p in parameters.items() if p.requires_grad}
        self.kept = kept
        self.steps = 0  # done
        self._averages = {n: widened(local(p)).clone() for n, p in self.parameters.items()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the weights of this step."""
        kept = min(self.kept, (1 + self.steps) / (10 + self.steps))
        for name, average in self._averages.items():
            average.lerp_(widened(local(self.parameters[name])), 1.0 - kept)
        self.steps += 1

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averages in the place of the weights."""
        for name, average in self._averages.items():
            local(self.parameters[name]).copy_(average)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the averages and the number of steps done."""
        named = {f"average.{name}": average for name, average in self._averages.items()}
        return {"steps": torch.tensor(self.steps), **named}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those averages."""
        self.steps = int(state["steps"])
        for name, average in self._averages.items():
            average.copy_(state[f"average.{name}"])
