"""Learned step size quantization (LSQ): training through rounding to a few bits, steps learned.

Esser, McKinstry, Bablani, Appuswamy & Modha, arXiv 1902.08153. The equations are numbered as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.trainers.regimes.qat import StraightThrough
from slashbench.trainers.training.parameters import gradient, in_scope, local, widened
from slashbench.trainers.training.schedule import begun, learning_rate

_BETAS = 0.9, 0.99  # of the running moments of the steps' gradients
_TINY = 1e-12
_STEPS = "row_steps."


class LearnedSteps(StraightThrough):
    """Round matrices to integers of `bits` bits, with a step size for each row that is trained.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        Matrices to round.
    bits : int
        Integers are from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
    rate : float
        Largest relative change of a step size in a training step.
    begin, plan
        As `StraightThrough` has them.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        bits: int,
        rate: float,
        begin: int,
        plan: TrainingPlan,
    ) -> None:
        super().__init__(parameters, 1.0, begin, plan)
        self.limit, self.rate, self.plan = 2 ** (bits - 1) - 1, rate, plan
        self._moments: dict[str, torch.Tensor] = {}  # (2, rows): of gradient and its square

    def before_forward(self) -> None:
        """Choose the first step sizes if rounding begins; round."""
        if self.steps == self.begin and not self._moments:
            for name, parameter in self.parameters.items():
                rows = widened(local(parameter)).flatten(1)
                self.step_sizes[name] = self.first_sizes(rows)
                self._moments[name] = rows.new_zeros(2, len(rows))
            every = torch.cat([s.log() for s in self.step_sizes.values()])
            self.drift.step_size = float(every.mean().exp())
        super().before_forward()

    def first_sizes(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the step sizes, (rows,), that training begins with (section 2.1)."""
        steps = 2 * rows.abs().mean(1) / self.limit**0.5
        return torch.where(steps > 0, steps, 1.0)

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back; train the step sizes; hold back what is clipped (eq. 3)."""
        super().before_step()
        if self.steps < self.begin:
            return
        for name, parameter in self.parameters.items():
            found = gradient(name, parameter)
            if found is None:
                continue
            steps = self.step_sizes[name]
            places = widened(local(parameter)).flatten(1) / steps[:, None]
            inside = places.abs() <= self.limit
            slopes = torch.where(inside, places.round() - places, places.sign() * self.limit)
            flat = found.view(len(steps), -1)
            self._train(name, (widened(flat) * slopes).sum(1) * steps)
            flat.mul_(inside)

    def _train(self, name: str, slopes: torch.Tensor) -> None:
        """Take an Adam step on the logarithms of step sizes, at the rate of the weights'."""
        first, second = self._moments[name]
        first.lerp_(slopes, 1 - _BETAS[0])
        second.lerp_(slopes.square(), 1 - _BETAS[1])
        done = self.steps - self.begin + 1
        mean, square = first / (1 - _BETAS[0] ** done), second / (1 - _BETAS[1] ** done)
        share = learning_rate(self.steps, self.plan) / self.plan.learning_rate
        self.step_sizes[name] *= (-self.rate * share * mean / (square.sqrt() + _TINY)).exp()

    @torch.no_grad()
    def round(self, names: Iterable[str]) -> None:
        """Round these parameters in place, within the range of integers (eq. 1, 2)."""
        for name in names:
            weights, steps = local(self.parameters[name]), self.step_sizes[name]
            shape = (len(steps), *[1] * (weights.ndim - 1))
            wide = steps.half().float().clamp(min=2.0**-14).view(shape)  # as a file stores them
            limits = -self.limit, self.limit
            weights.copy_((widened(weights) / wide).round_().clamp_(*limits).mul_(wide))

    def finish(self) -> None:
        """Leave the trained weights on the grid."""
        self.round(name for name, parameter in self.parameters.items() if parameter.requires_grad)

    def state(self) -> dict[str, torch.Tensor]:
        """Return also the step sizes and the moments of their gradients."""
        steps = {f"{_STEPS}{name}": self.step_sizes[name] for name in self._moments}
        moments = {f"row_moments.{name}": found for name, found in self._moments.items()}
        grid = {"grid": torch.tensor(self.drift.step_size, dtype=torch.float64)}
        return {**super().state(), **grid, **steps, **moments}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those step sizes."""
        super().load_state(state)
        for name, parameter in self.parameters.items():
            if f"{_STEPS}{name}" in state:
                self.step_sizes[name] = state[f"{_STEPS}{name}"].to(parameter.device).clone()
                self._moments[name] = state[f"row_moments.{name}"].to(parameter.device).clone()
        self.drift.step_size = float(state["grid"])


class LSQ(Regime):
    """Train through the rounding of all matrices to `bits` bits, with learned steps of rows.

    With an entropy coder behind it the integers cost less than `bits`.

    Parameters
    ----------
    bits : int
        Of an integer, from 2 to 8; the range is symmetric.
    begin : float
        Share of the training steps before weights are rounded.
    rate : float
        Largest relative change of a step size in a training step at the peak learning rate.
    longer, peak, distil, fresh
        The course of the training: see `Course`. LSQ is at its best from trained weights, with
        distillation: `plain+lsq:bits=3:distil=0.7`.

    References
    ----------
    S. K. Esser, J. L. McKinstry, D. Bablani, R. Appuswamy, D. S. Modha: Learned Step Size
    Quantization. ICLR 2020, arXiv 1902.08153, eq. 1-3. Steps are trained as logarithms by Adam in
    place of the gradient scale of section 2.2, which Adam would undo.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("bits",)

    def __init__(
        self,
        bits: int = 4,
        begin: float = 0.1,
        rate: float = 0.01,
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
    ) -> None:
        validate.within(2, 8, bits=bits)
        validate.share(begin=begin)
        validate.positive(rate=rate)
        self.bits, self.begin, self.rate = bits, begin, rate
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def first_rounded(self, plan: TrainingPlan) -> int:
        """Return the step at which rounding begins."""
        return begun(self.begin, plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the rounding of all matrices. Raises UsageError if there are none."""
        matrices = in_scope(parameters, "matrices")
        return LearnedSteps(matrices, self.bits, self.rate, self.first_rounded(plan), plan)

    @property
    def quantiser(self) -> str:
        """The grid that the weights lie on."""
        return "ongrid"
