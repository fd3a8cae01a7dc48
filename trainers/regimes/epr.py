"""Entropy penalized reparameterization (EPR): integers times learned scales, a learned density.

Oktay, Ballé, Singh & Shrivastava, arXiv 1906.06624. The loss sees rounded weights, with gradients
passed straight through; the rate sees weights with uniform noise in place of rounding, under
densities that are learned along with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.trainers.numerics.learned_density import LearnedDensities, place, shares, slopes
from slashbench.trainers.regimes.lsq import LearnedSteps
from slashbench.trainers.training import distributed
from slashbench.trainers.training.parameters import gradient, in_scope, widened
from slashbench.trainers.training.schedule import Strength, begun

_BITS = 16  # integers are limited to these, which none reaches
_DENSITY_RATE = 5e-3  # of Adam on the densities
_DENSITY = "density."


class NoisyRate(LearnedSteps):
    """Round to learned step sizes of rows and add lam times the rate under learned densities.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        Matrices to round.
    lam : float
        Lagrange multiplier, in nats of loss for a bit per parameter.
    step_size : float
        Of all rows at first, in units of the weights.
    rate, begin, plan
        As `LearnedSteps` has them.
    warmup : float
        Share of the training steps in which lam grows linearly from 0.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        lam: float,
        step_size: float,
        rate: float,
        begin: int,
        plan: TrainingPlan,
        warmup: float,
    ) -> None:
        super().__init__(parameters, _BITS, rate, begin, plan)
        self.lam, self.first_step = lam, step_size
        self.strength = Strength(plan.steps, warmup=warmup).at
        device = next(iter(parameters.values())).device
        self.densities = LearnedDensities(len(parameters)).to(device)
        self._learner = torch.optim.Adam(self.densities.parameters(), lr=_DENSITY_RATE)
        self._felt: dict[str, torch.Tensor] = {}  # of a row's step size, by the rate
        self._bits = math.nan  # before rounding begins

    def first_sizes(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the same step size for every row."""
        return rows.new_full((len(rows),), self.first_step)

    def before_step(self) -> None:
        """Put the float weights back; train step sizes and densities; add the rate's gradient."""
        if self._floats is None:
            super().before_step()
            return
        added = self._rate(self._floats)
        super().before_step()
        for name, slope in added.items():
            found = gradient(name, self.parameters[name])
            if found is not None:
                found.add_(slope.view_as(found).to(found.dtype))

    def log(self) -> dict[str, float]:
        """Return also `bits`: the rate of the last step, in bits per parameter."""
        return super().log() if math.isnan(self._bits) else {**super().log(), "bits": self._bits}

    def state(self) -> dict[str, torch.Tensor]:
        """Return also the densities and the moments of their gradients."""
        found = {f"{_DENSITY}{n}": p.detach() for n, p in self.densities.named_parameters()}
        for name, parameter in self.densities.named_parameters():
            for key, value in self._learner.state.get(parameter, {}).items():
                found[f"{_DENSITY}{name}/{key}"] = value
        return {**super().state(), **found}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those densities."""
        super().load_state(state)
        with torch.no_grad():
            for name, parameter in self.densities.named_parameters():
                parameter.copy_(state[f"{_DENSITY}{name}"])
                prefix = f"{_DENSITY}{name}/"
                moments = {k: v for k, v in state.items() if k.startswith(prefix)}
                for key, value in moments.items():
                    self._learner.state[parameter][key.removeprefix(prefix)] = value.clone()

    def _rate(self, floats: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the gradient of lam times the rate by weights; train the densities by a step."""
        count = sum(weights.numel() for weights in floats.values())
        factor = self.lam * self.strength(self.steps) / count
        table = self.densities.table()
        places, added = [], {}
        for row, (name, weights) in zip(table.detach(), floats.items(), strict=True):
            sizes = self.step_sizes[name][:, None]
            values = widened(weights).flatten(1) / sizes
            noisy = place(values + distributed.from_first(torch.rand_like(values)) - 0.5)
            places.append(noisy)
            slope = factor * slopes(row)[noisy]
            self._felt[name] = -(slope * values).sum(1)  # by the logarithm of a row's step size
            added[name] = slope / sizes
        spent = (shares(places, table.shape[1]) * table).sum() / count
        self._bits = float(spent.detach())
        self._learner.zero_grad()
        spent.backward()  # type: ignore[no-untyped-call]
        self._learner.step()
        return added

    def _train(self, name: str, slopes: torch.Tensor) -> None:
        super()._train(name, slopes + self._felt[name].to(slopes.dtype))


class EPR(Regime):
    """Minimise loss(s round(w / s)) + lam * rate, step sizes s of rows and densities learned.

    Parameters
    ----------
    lam : float
        Lagrange multiplier: nats of loss for a bit per parameter in scope.
    step : float
        Step size of all rows at first, in units of the weights.
    begin : float
        Share of the training steps before weights are rounded.
    warmup : float
        Share of the training steps, from the first on, in which lam grows linearly from 0.
    rate : float
        Largest relative change of a step size in a training step at the peak learning rate.
    longer, peak, distil, fresh
        The course of the training: see `Course`.

    References
    ----------
    D. Oktay, J. Ballé, S. Singh, A. Shrivastava: Scalable Model Compression by Entropy Penalized
    Reparameterization. ICLR 2020, arXiv 1906.06624, eq. 4 to 7: decoders are a scale for each row,
    where theirs is affine for each kind of layer. LilNetX (Girish, Gupta, Singh & Shrivastava,
    arXiv 2204.02965) adds priors on groups, which are not here. Densities: see
    `slashbench.trainers.numerics.learned_density`.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step")

    def __init__(
        self,
        lam: float = 0.1,
        step: float = 2.0**-4,
        begin: float = 0.1,
        warmup: float = 0.2,
        rate: float = 0.01,
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
    ) -> None:
        validate.not_negative(lam=lam)
        validate.positive(step=step, rate=rate)
        validate.share(begin=begin)
        Strength(1, warmup=warmup)
        self.lam, self.step, self.begin, self.warmup, self.rate = lam, step, begin, warmup, rate
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def first_rounded(self, plan: TrainingPlan) -> int:
        """Return the step at which rounding begins."""
        return begun(self.begin, plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the rounding and the rate of all matrices. Raises UsageError if none is there."""
        matrices = in_scope(parameters, "matrices")
        begin = self.first_rounded(plan)
        return NoisyRate(matrices, self.lam, self.step, self.rate, begin, plan, self.warmup)

    @property
    def quantiser(self) -> str:
        """The grid that the weights lie on."""
        return "ongrid"
