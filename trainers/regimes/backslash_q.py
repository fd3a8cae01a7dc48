"""BackSlash with the quantiser and the coder in the loop.

Minimise L(round(theta)) + lam * R(theta), R the bits per parameter that a coder with a table per
tensor spends on round(theta / step). It differs from the paper's Algorithm 1 in three points: the
loss sees the rounded weights (straight-through estimator), the rate is that of the integers' own
histogram in place of |theta|^shape, tensor by tensor, and lam weighs bits, so that it does not
depend on the scale of the weights. As in Algorithm 1 the term is part of the gradient: the
optimiser weighs it against the loss weight by weight.

Related: entropy-constrained training (Wiedemann, Marban, Mueller & Samek, arXiv 1812.07520).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.errors import BadSetting, TrainingDiverged, UsageError
from slashbench.selector import spell_value
from slashbench.trainers.numerics import code_length, length_classes, row_scale
from slashbench.trainers.numerics.row_sensitivity import RowSensitivity
from slashbench.trainers.regimes import qat, target_rate
from slashbench.trainers.regimes.qat import StraightThrough
from slashbench.trainers.regimes.target_rate import RateTerm, Targeted
from slashbench.trainers.training.parameters import (
    Remainders,
    Scope,
    frozen,
    gradient,
    in_scope,
    is_narrow,
    local,
    store,
    sum_over_ranks,
    widened,
    with_step_sizes,
)
from slashbench.trainers.training.schedule import Strength, begun

#: Training steps between two histograms: the lengths change slowly.
REFRESH = 10

Granularity = Literal["tensor", "channel"]
GridFrom = Literal["sensitivity", "found"]
Finish = Literal["grid", "float"]


class EntropyTerm(RateTerm):
    """Add lam / Np * d(code length) / d(theta) to the gradient; round the weights in between.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        That the term acts on: those that are trained.
    rounding : StraightThrough
        Rounds these and others.
    lam : float
        Lagrange multiplier, in nats of loss for a bit per parameter.
    strength : callable
        Factor on lam at a training step, counted from 0.
    most : int
        Classes of rows and columns, each with lengths of its own; 1: a table a tensor.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        rounding: StraightThrough,
        lam: float,
        strength: Callable[[int], float],
        most: int = 1,
    ) -> None:
        self.parameters = dict(parameters)
        self.rounding, self.lam, self.strength, self.most = rounding, lam, strength, most
        self.counts = torch.zeros(
            len(self.parameters),
            most,
            code_length.LARGEST + 1,
            dtype=torch.float64,
            device=self.constrained()[0].device,
        )
        self.classes: dict[str, torch.Tensor] = {}  # of each weight, if there is more than one
        self._remainders = Remainders()
        self._seen: dict[str, float] = {}

    def constrained(self) -> list[nn.Parameter]:
        """Return the parameters that the term acts on."""
        return list(self.parameters.values())

    def before_forward(self) -> None:
        """Round the weights."""
        self.rounding.before_forward()

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back and add the rate's gradient.

        Raises TrainingDiverged if all weights round to zero, UsageError for a sparse gradient.
        """
        self.rounding.before_step()
        steps = self.rounding.steps
        if steps % REFRESH == 0:
            self.recount()
        lam = self.lam * self.strength(steps)
        self._seen["lam"] = lam
        if lam == 0:
            return
        count = sum(p.numel() for p in self.parameters.values())
        for (name, parameter), counts in zip(self.parameters.items(), self.counts, strict=True):
            grad = gradient(name, parameter)
            if grad is not None and parameter.requires_grad:
                self._add(name, local(parameter), grad, self._slopes(counts), lam / count)

    def _slopes(self, counts: torch.Tensor) -> torch.Tensor:
        """Return the slopes of a tensor's classes, one after the other."""
        if self.most == 1:
            return code_length.slopes(counts[0])
        return length_classes.slopes(counts).flatten()

    def _add(
        self,
        name: str,
        weights: torch.Tensor,
        grad: torch.Tensor,
        slopes: torch.Tensor,
        factor: float,
    ) -> None:
        """Add factor * slope to the gradient of one parameter."""
        narrow = is_narrow(grad)
        more = [self._remainders.of(name, grad)] if narrow else []
        more += [self.classes[name]] if self.classes else []
        step_sizes = self.rounding.step_sizes[name]
        for step_size, part, moved, *left in with_step_sizes(step_sizes, weights, grad, *more):
            place = widened(part).abs().div_(step_size).clamp_(max=code_length.LARGEST)
            index = place.to(torch.int32)
            if self.classes:
                index += left[-1].to(torch.int32) * (code_length.LARGEST + 1)
            slope = slopes[index].div_(step_size)
            wide = moved.float().add_(left[0]) if narrow else moved
            wide.addcmul_(part.sign(), slope, value=factor)
            if narrow:
                store(wide, moved, left[0])

    def after_step(self) -> None:
        """Count the training step."""
        self.rounding.after_step()

    def log(self) -> dict[str, float]:
        """Return figures of the last histogram.

        `bits`: order-0 entropy per parameter in scope, in its class if there are classes; `zeros`:
        share of zeros; `lam`: as it was in force at the last step; `drift` and `moved`: see
        `Drift`.
        """
        return {**self._seen, **self.rounding.log()}

    def state(self) -> dict[str, torch.Tensor]:
        """Return the number of training steps done, the histograms, classes, what rounding left."""
        left = {f"remainder.{name}": kept for name, kept in self._remainders.state().items()}
        classes = {f"classes.{name}": found for name, found in self.classes.items()}
        return {**self.rounding.state(), "counts": self.counts, **left, **classes}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those histograms."""
        self.rounding.load_state(state)
        self.counts = state["counts"].to(self.counts.device).view_as(self.counts)
        self.classes = {
            name: state[f"classes.{name}"].to(parameter.device)
            for name, parameter in self.parameters.items()
            if f"classes.{name}" in state
        }
        left = {k: v for k, v in state.items() if k.startswith("remainder.")}
        self._remainders.load_state({k.removeprefix("remainder."): v for k, v in left.items()})
        self._summarise()

    @torch.no_grad()
    def recount(self) -> None:
        """Take the histograms anew. Raises TrainingDiverged if all weights round to zero."""
        for row, (name, parameter) in zip(self.counts, self.parameters.items(), strict=True):
            weights, step_sizes = local(parameter), self.rounding.step_sizes[name]
            if self.most == 1:
                row[0] = code_length.count(weights, step_sizes)
                continue
            self.classes[name] = length_classes.classes_of(parameter, step_sizes, self.most)
            row.copy_(length_classes.count(weights, step_sizes, self.classes[name], self.most))
        sum_over_ranks(self.counts, self.constrained())
        self._summarise()
        if self._seen["zeros"] == 1.0 and self.rounding.steps >= self.rounding.begin:
            raise TrainingDiverged(
                f"all weights in scope round to zero with lam={self.lam:g}; lower lam, choose a "
                "finer step, or begin later"
            )

    def _summarise(self) -> None:
        count = sum(p.numel() for p in self.parameters.values())
        bits = sum(code_length.entropy(counts) for counts in self.counts.flatten(0, 1))
        zeros = float(self.counts[..., 0].sum())
        self._seen |= {"bits": bits / count, "zeros": zeros / count}


class ChannelEntropyTerm(EntropyTerm):
    """The same on a grid with a step size for each row, set when rounding begins.

    The gradients of the second half of the training steps before that give the sensitivity of each
    row. In the end the weights are left on the grid, where the quantiser `ongrid` finds them.

    Parameters
    ----------
    parameters, rounding, lam, strength, most
        As `EntropyTerm` has them.
    step_size : float
        Geometric mean of the step sizes.
    grid : {"sensitivity", "found"}
        `found`: the grid is the one that the weights lie on when rounding begins.
    finish : {"grid", "float"}
        `float` leaves the weights that were rounded as floats, for another quantiser.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        rounding: StraightThrough,
        lam: float,
        strength: Callable[[int], float],
        step_size: float,
        grid: GridFrom = "sensitivity",
        finish: Finish = "grid",
        most: int = 1,
    ) -> None:
        super().__init__(parameters, rounding, lam, strength, most)
        self.step_size, self.grid, self.ending = step_size, grid, finish
        self.sensitivity = RowSensitivity(self.constrained())

    def before_forward(self) -> None:
        """Set the step sizes if rounding begins; round the weights."""
        if self.rounding.steps == self.rounding.begin:
            self._set_step_sizes()
            self.recount()
        super().before_forward()

    def before_step(self) -> None:
        """Observe the loss's gradient while it is time; then as for one step size."""
        early = self.rounding.begin // 2 <= self.rounding.steps < self.rounding.begin
        if early and self.grid == "sensitivity":
            self.sensitivity.observe()
        super().before_step()

    def finish(self) -> None:
        """Leave the trained weights on the grid, or as floats."""
        if self.ending == "grid":
            self.rounding.round(self.parameters)

    def state(self) -> dict[str, torch.Tensor]:
        """Return also the sensitivity so far, and the step sizes once they are set."""
        sums = {f"sensitivity.{i}": s for i, s in enumerate(self.sensitivity.sums)}
        sizes = {f"row_steps.{name}": self.rounding.step_sizes[name] for name in self.parameters}
        return {**super().state(), **sums, **sizes}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with the same step sizes."""
        for index, sums in enumerate(self.sensitivity.sums):
            sums.copy_(state[f"sensitivity.{index}"])
        super().load_state(state)
        for name, parameter in self.parameters.items():
            self.rounding.step_sizes[name] = state[f"row_steps.{name}"].to(parameter.device)

    def _set_step_sizes(self) -> None:
        """Choose the grid. Raises UsageError where weights should lie on one and do not."""
        if self.grid == "sensitivity":
            by_row = self.sensitivity.step_sizes(self.step_size)
            self.rounding.step_sizes |= dict(zip(self.parameters, by_row, strict=True))
            return
        for name, parameter in self.parameters.items():
            weights = local(parameter)
            scales = row_scale.scales_of(weights.float().flatten(1).cpu().numpy())
            if scales is None:
                raise UsageError(
                    f"{name} lies on no grid when rounding begins: put a link before that leaves "
                    "it on one, such as snap, and begin=0"
                )
            self.rounding.step_sizes[name] = torch.from_numpy(scales).to(weights.device)


class BackSlashQ(Regime):
    """Minimise loss(rounded weights) + lam * bits per parameter, as an entropy coder counts them.

    Parameters
    ----------
    lam : float
        Lagrange multiplier: nats of loss for a bit per parameter in scope.
    step : float
        Step size of the grid, in units of the weights, and of the quantiser that a recipe without
        one gets.
    begin : float
        Share of the training steps before weights are rounded in the forward pass.
    warmup : float
        Share of the training steps, from the first on, in which lam grows linearly from 0.
    scope : {"matrices", "all"}
        What is rounded and constrained: parameters of two and more dimensions, or all.
    granularity : {"tensor", "channel"}
        One step size for all parameters in scope, or one for each row of a matrix, finer in
        sensitive rows, with `step` for their geometric mean.
    target : str
        Such as `1.5bits`: find the multiplier with which training ends at so many bits per
        parameter in scope. The search starts at lam. For granularity=tensor.
    longer, peak, distil, fresh
        The course of the training: see `Course`.
    grid : {"sensitivity", "found"}
        With granularity=channel: step sizes from the sensitivity of rows, or those of the grid that
        the link before has left the weights on (`snap`).
    finish : {"grid", "float"}
        With granularity=channel: leave the weights on the grid, or as floats, for a quantiser such
        as `gptq-loss`.
    classes : int
        Code lengths by the scale of a weight's row and column, in so many classes of half an
        octave, 1 to 16, as the codec `rans-classes` charges them. 1: one table a tensor.
    anneal : float
        Share of the training steps, once rounding has begun, in which it grows in: the forward pass
        sees a mix of rounded and float weights.

    Notes
    -----
    Ours. After BackSlash (arXiv 2504.16968, Algorithm 1), entropy-constrained training (Wiedemann,
    Marban, Mueller & Samek, arXiv 1812.07520, eq. 6) and alpha-blending (Liu & Mattina, arXiv
    1903.01061, section 3).
    """

    shards: ClassVar[bool] = True
    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step")
    added_settings: ClassVar[tuple[str, ...]] = (
        "longer",
        "peak",
        "distil",
        "fresh",
        "grid",
        "finish",
        "classes",
        "anneal",
    )

    def __init__(
        self,
        lam: float = 1.0,
        step: float = 2.0**-4,
        begin: float = 0.3,
        warmup: float = 0.2,
        scope: Scope = "matrices",
        granularity: Granularity = "tensor",
        target: str = "",
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
        grid: GridFrom = "sensitivity",
        finish: Finish = "grid",
        classes: int = 1,
        anneal: float = 0.0,
    ) -> None:
        validate.not_negative(lam=lam)
        validate.positive(step=step)
        validate.share(begin=begin, anneal=anneal)
        validate.within(1, 16, classes=classes)
        validate.choice(Scope, scope=scope)
        validate.choice(Granularity, granularity=granularity)
        Strength(1, warmup=warmup)
        self.bits = target_rate.parse(target)
        validate.choice(GridFrom, grid=grid)
        validate.choice(Finish, finish=finish)
        begun = begin > 0 or grid == "found"
        only_matrices = scope == "matrices" and self.bits is None and begun
        if granularity == "channel" and not only_matrices:
            raise BadSetting("granularity=channel is for matrices, begin above 0 and no target")
        if granularity == "tensor" and (grid != "sensitivity" or finish != "grid"):
            raise BadSetting("grid=found and finish=float are for granularity=channel")
        self.lam, self.step, self.begin, self.warmup = lam, step, begin, warmup
        self.scope, self.granularity = scope, granularity
        self.grid, self.finish, self.classes, self.anneal = grid, finish, classes, anneal
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def first_rounded(self, plan: TrainingPlan) -> int:
        """Return the step at which rounding begins."""
        return begun(self.begin, plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the code length of the parameters in scope. Raises UsageError if there are none.

        Parameters that are not trained are rounded with them, since the file has them rounded too.
        """
        chosen = in_scope(parameters, self.scope)
        rounded = {**chosen, **frozen(parameters, self.scope)}
        begin = self.first_rounded(plan)
        growing = min(begun(self.anneal, plan), plan.steps - begin - 1)
        rounding = StraightThrough(rounded, self.step, begin, plan, growing)
        strength = Strength(plan.steps, warmup=self.warmup).at
        if self.granularity == "channel":
            return ChannelEntropyTerm(
                chosen, rounding, self.lam, strength, self.step, self.grid, self.finish,
                self.classes,
            )  # fmt: skip
        term = EntropyTerm(chosen, rounding, self.lam, strength, self.classes)
        return term if self.bits is None else Targeted(term, self.bits, self.step, plan.steps)

    @property
    def quantiser(self) -> str:
        """Rounding to the same grid, or GPTQ on one of its own."""
        if self.finish == "float":
            return f"gptq-loss:step={spell_value(self.step)}:lam=0.1"
        if self.granularity == "channel":
            return f"ongrid:step={spell_value(self.step)}"  # which frozen matrices are rounded to
        return qat.quantiser(self.step, self.scope)
