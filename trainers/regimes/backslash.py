"""BackSlash: rate-constrained training (Wu, Wen & Han, ICML 2025, arXiv 2504.16968)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.errors import TrainingDiverged, UsageError
from slashbench.selector import spell_value
from slashbench.trainers.numerics import ggd
from slashbench.trainers.regimes import target_rate
from slashbench.trainers.regimes.target_rate import RateTerm, Targeted
from slashbench.trainers.training.parameters import (
    PIECE,
    Parameters,
    Remainders,
    Scope,
    gradient,
    in_scope,
    is_narrow,
    local,
    named,
    pieces,
    store,
    sum_over_ranks,
    together,
    trainable,
)
from slashbench.trainers.training.schedule import Strength

Update = Literal["gradient", "decoupled", "proximal"]
Shapes = Literal["one", "per-tensor"]


class BackSlash(RateTerm):
    """Add the rate term lam / Np * sum (|theta| + eps)^shape to any torch training loop.

    Np is the number of parameters in scope, theta. The rate term makes weights cheaper to code:
    it draws them towards zero, and the shape of their distribution towards that of small files.

    Parameters
    ----------
    parameters : nn.Module, mapping or iterable of nn.Parameter
        What to constrain: a module, parameters by name, or what torch's optimisers take. Shared
        parameters count once, frozen ones not at all. A module is looked up at every step, so
        that parameters that are frozen, replaced or added later are treated as they are then;
        parameters that are passed one by one are the same ones throughout. Shards of FSDP2 act as
        the whole.
    lam : float
        Lagrange multiplier of the rate (eq. 6-7), in units of the loss, 0 or more. It is divided
        by Np: to constrain a smaller model as strongly, choose a smaller one. The paper's lam of
        1000 for 110 M parameters is a lam / Np of 1e-5.
    update : {"decoupled", "gradient", "proximal"}
        Where the term acts. `decoupled`: theta -= lam shape / Np sign(theta) (|theta| +
        eps)^(shape - 1) in `after_step`, not scaled by the learning rate, as in the authors' own
        code. `gradient`: inside the objective, Algorithm 1, so that the optimiser sees loss and
        rate together; call `before_step` before the optimiser's step. `proximal`: the decoupled
        step, cut off where it would cross zero.
    eps : float
        Soft clipping of the slope at zero (section 3.3), in units of the weights, above 0. The
        authors' code uses 1.
    scope : {"all", "matrices"}
        Every parameter, as published, or only those of two and more dimensions.
    shape : float, optional
        Shape of the generalised Gaussian. If not given, it is estimated from the weights at every
        step that acts (eq. 8).
    shapes : {"one", "per-tensor"}
        Estimate one shape from the moments of all parameters in scope, or one for each.
    every : int
        Act at every so many steps only, with that many times the strength.
    strength : callable, optional
        Factor on lam at a step, counted from 0, such as `Strength(...).at`.

    Raises
    ------
    BadSetting
        For a setting out of its range.
    UsageError
        If nothing is in scope, or a parameter can't be constrained: complex, on the meta device,
        or not initialised.

    Notes
    -----
    Parameters and gradients in bfloat16, float16 or float8 are worked on in float32, and what
    rounding to their dtype leaves is kept for the next step, 4 bytes a weight. So weights move by
    as much as in float32, however small the steps are.

    References
    ----------
    J. Wu, J. Wen, Y. Han: BackSlash: Rate Constrained Optimized Training of Large Language Models.
    ICML 2025, arXiv 2504.16968: eq. 6-8, Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(64, 16)
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    >>> backslash = BackSlash(model, lam=1.0)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     model(torch.randn(8, 64)).square().mean().backward()
    ...     optimizer.step()
    ...     backslash.after_step()
    >>> sorted(backslash.log())
    ['lam', 'rate', 'shape', 'zeros']
    """

    def __init__(
        self,
        parameters: Parameters,
        lam: float = 1000.0,
        *,
        update: Update = "decoupled",
        eps: float = 1.0,
        scope: Scope = "all",
        shape: float | None = None,
        shapes: Shapes = "one",
        every: int = 1,
        strength: Callable[[int], float] | None = None,
    ) -> None:
        check_settings(
            lam=lam, update=update, eps=eps, scope=scope, shape=shape, shapes=shapes, every=every
        )
        self._source = parameters if isinstance(parameters, nn.Module) else named(parameters)
        in_scope(self._source, scope)  # or there is nothing to do
        self.lam, self.update, self.eps, self.scope = lam, update, eps, scope
        self.fixed_shape, self.shapes, self.every = shape, shapes, every
        self.strength = strength
        self.steps = 0  # done
        self._seen: dict[str, float] = {}
        self._scratch: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}
        self._remainders = Remainders()
        self._added = False

    def constrained(self) -> list[nn.Parameter]:
        """Return the parameters that the term acts on now."""
        return list(trainable(self._source, self.scope).values())

    def before_step(self) -> None:
        """Add lam shape / Np sign(theta) (|theta| + eps)^(shape - 1) to the gradient.

        Only if `update` is "gradient". Raises UsageError for a sparse gradient, TrainingDiverged
        if weights are not finite.
        """
        if self.update == "gradient":
            self._act()
            self._added = True

    def after_step(self) -> None:
        """Take the decoupled or proximal step, if `update` says so; count the step in any case.

        Raises UsageError if `update` is "gradient" and `before_step` was not called,
        TrainingDiverged if weights are not finite or all became zero.
        """
        if self.update != "gradient":
            self._act()
        elif not self._added:
            raise UsageError(
                "update='gradient' acts through the optimiser: call before_step() between "
                "loss.backward() and optimizer.step(), or choose update='decoupled'"
            )
        self._added = False
        self.steps += 1

    def add_gradient(self) -> None:
        """Call `before_step`, whose old name this is."""
        warnings.warn("add_gradient() is called before_step() now", DeprecationWarning, 2)
        self.before_step()

    def step(self) -> None:
        """Call `after_step`, whose old name this is."""
        warnings.warn("step() is called after_step() now", DeprecationWarning, 2)
        self.after_step()

    def log(self) -> dict[str, float]:
        """Return figures of the last step that acted.

        Returns
        -------
        dict
            `shape`: the mean over weights; `rate`: sum (|theta| + eps)^shape / Np before the step;
            `zeros`: share of zeros after it; `lam`: as it was in force. Empty before the first.
        """
        return dict(self._seen)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the number of steps done, the last figures and what rounding left."""
        seen = {f"seen.{k}": torch.tensor(v, dtype=torch.float64) for k, v in self._seen.items()}
        left = {f"remainder.{name}": kept for name, kept in self._remainders.state().items()}
        return {"steps": torch.tensor(self.steps), **seen, **left}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from there."""

        def under(prefix: str) -> dict[str, torch.Tensor]:
            found = {k: v for k, v in state.items() if k.startswith(prefix)}
            return {key.removeprefix(prefix): value for key, value in found.items()}

        self.steps = int(state["steps"])
        self._seen = {key: float(value) for key, value in under("seen.").items()}
        self._remainders.load_state(under("remainder."))

    @torch.no_grad()
    def _act(self) -> None:
        chosen = trainable(self._source, self.scope)
        if self.steps % self.every or not chosen:
            return
        lam = self.lam * (1.0 if self.strength is None else self.strength(self.steps))
        parameters = list(chosen.values())
        count = sum(p.numel() for p in parameters)
        shapes, any_weight = self._estimate(parameters, count)
        sums = _rows_of_zeros(parameters)
        for row, (name, parameter), shape in zip(sums, chosen.items(), shapes, strict=True):
            self._move(name, parameter, shape, lam * shape * self.every / count, row)
        rate, nonzero = sum_over_ranks(sums, parameters).sum(0).tolist()
        self._seen |= {"rate": rate / count, "zeros": 1.0 - nonzero / count, "lam": lam}
        if nonzero == 0 and any_weight:
            raise TrainingDiverged(
                f"all weights in scope became zero: lam={self.lam:g} is too strong for "
                f"{count:,} parameters; lower it"
            )

    def _estimate(self, parameters: list[nn.Parameter], count: int) -> tuple[list[float], bool]:
        """Return the shape for each parameter, and whether any weight is not zero.

        Raises TrainingDiverged if a weight is not finite.
        """
        sums = _rows_of_zeros(parameters)
        for row, parameter in zip(sums, parameters, strict=True):
            for part in pieces(local(parameter)):
                weights, spare, _ = self._like(part)
                # float32 is enough within a piece that fits the cache, for weights of no more
                wide = weights.dtype if part.numel() <= PIECE else torch.float64
                row[0] += torch.abs(weights, out=spare).sum(dtype=wide)
                row[1] += torch.square(weights, out=spare).sum(dtype=wide)
        sums = sum_over_ranks(sums, parameters).cpu()
        absolute, square = sums.sum(0).tolist()
        if not math.isfinite(square):
            raise TrainingDiverged("the weights are not finite; lower the learning rate or lam")
        if self.fixed_shape is not None:
            shapes = [self.fixed_shape] * len(parameters)
        elif self.shapes == "one":
            shapes = [ggd.shape_from_moments(absolute / count, square / count)]
            shapes *= len(parameters)
        else:
            shapes = [
                ggd.shape_from_moments(a / p.numel(), s / p.numel())
                for (a, s), p in zip(sums.tolist(), parameters, strict=True)
            ]
        mean = sum(s * p.numel() for s, p in zip(shapes, parameters, strict=True)) / count
        self._seen["shape"] = mean
        return shapes, absolute > 0

    def _move(
        self, name: str, parameter: nn.Parameter, shape: float, factor: float, sums: torch.Tensor
    ) -> None:
        """Act on one parameter by factor * (|theta| + eps)^(shape - 1).

        Adds the sum of (|theta| + eps)^shape before it moved and the number of weights that are
        not zero afterwards to sums[0] and sums[1].
        """
        weights = local(parameter)
        target = weights if self.update != "gradient" else gradient(name, parameter)
        if target is None:  # no gradient: left alone
            sums[1] += weights.count_nonzero()
            return
        narrow = is_narrow(target)
        remainder = [self._remainders.of(name, target)] if narrow else []
        for part, moved, *left in together(weights, target, *remainder):
            values, base, slope = self._like(part)
            # a narrow weight stands for itself and what rounding left of it
            wide = moved.float().add_(left[0]) if narrow else moved
            if self.update != "gradient":
                values = wide
            self._slope(values, shape, base, slope, sums[0])
            if self.update == "gradient":
                wide.addcmul_(torch.sign(values, out=base), slope, value=factor)
            elif self.update == "decoupled":
                wide.addcmul_(torch.sign(values, out=base), slope, value=-factor)
            else:  # by no more than what is left: values - clamp(values, -slope, slope)
                torch.minimum(values, slope.mul_(factor), out=base)
                wide.sub_(torch.maximum(base, slope.neg_(), out=base))
            if narrow:
                store(wide, moved, left[0])
            if self.update == "gradient":
                sums[1] += _nonzero(base)
            else:
                after = moved.float() if narrow else moved
                sums[1] += _nonzero(torch.sign(after, out=base))

    def _slope(
        self,
        values: torch.Tensor,
        shape: float,
        base: torch.Tensor,
        slope: torch.Tensor,
        rate: torch.Tensor,
    ) -> None:
        """Write |theta| + eps to `base` and (|theta| + eps)^(shape - 1) to `slope`.

        Adds the sum of their products to `rate`.
        """
        torch.abs(values, out=base).add_(self.eps)
        torch.log(base, out=slope).mul_(shape - 1.0).exp_()  # vectorised, where pow is not
        if base.is_contiguous():
            rate += torch.dot(base.view(-1), slope.view(-1))
        else:
            rate += base.mul(slope).sum()

    def _like(self, part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return `part` in float32 or wider, and two tensors of its form to work in.

        They are the same memory every time, since fresh pages cost as much as the arithmetic.
        """
        dtype = torch.float32 if is_narrow(part) else part.dtype
        if not part.is_contiguous():
            wide = part.to(dtype)
            return wide, torch.empty_like(wide), torch.empty_like(wide)
        key, size = (part.device, dtype), part.numel()
        if key not in self._scratch or self._scratch[key].shape[1] < size:
            self._scratch[key] = torch.empty(2, size, device=part.device, dtype=dtype)
        first, second = self._scratch[key]
        return part.to(dtype), first[:size].view(part.shape), second[:size].view(part.shape)


def _rows_of_zeros(parameters: list[nn.Parameter]) -> torch.Tensor:
    """Return two zeros for each parameter."""
    return torch.zeros(len(parameters), 2, dtype=torch.float64, device=parameters[0].device)


def _nonzero(signs: torch.Tensor) -> torch.Tensor:
    """Count the signs that are not 0; overwrites them. `count_nonzero` takes a branch for each."""
    return signs.abs_().sum(dtype=torch.float32)


def check_settings(
    *,
    lam: float,
    update: str,
    eps: float,
    scope: str,
    shape: float | None = None,
    shapes: str = "one",
    every: int = 1,
) -> None:
    """Refuse settings that BackSlash can't take. Raises BadSetting."""
    validate.not_negative(lam=lam)
    validate.choice(Update, update=update)
    validate.positive(eps=eps)
    validate.choice(Scope, scope=scope)
    if shape is not None:
        validate.positive(shape=shape)
    validate.choice(Shapes, shapes=shapes)
    validate.at_least(1, every=every)


class BackSlashRegime(Regime):
    """Minimise loss + lam / Np * sum (|theta| + eps)^shape, the shape re-estimated at every step.

    The defaults are those of `slashbench.BackSlash`, which does the work. A model may name others
    (`tuned`); its file says why.

    Parameters
    ----------
    lam, update, eps, scope, shapes, every
        As in `slashbench.BackSlash`.
    warmup : float
        Share of the training steps, from the first on, in which lam grows linearly from 0.
    finetune : float
        Share of the training steps, at the end, without the term, as in the authors' follow-up.
    target : str
        Such as `2.0bits`: find the multiplier with which training ends at so many bits per
        parameter in scope, order-0 entropy of weights rounded to `step`. The search starts at lam.
    step : float
        Step size of the quantiser that a recipe without one gets, in units of the weights.
    longer, peak, distil, fresh
        The course of the training: see `Course`.

    References
    ----------
    arXiv 2504.16968, eq. 6-8 and Algorithm 1. `finetune`: arXiv 2506.00486.
    """

    shards: ClassVar[bool] = True
    revision: ClassVar[int] = 2
    added_settings: ClassVar[tuple[str, ...]] = ("longer", "peak", "distil", "fresh")
    always_spelled: ClassVar[tuple[str, ...]] = ("lam",)

    def __init__(
        self,
        lam: float = 1000.0,
        update: Update = "decoupled",
        eps: float = 1.0,
        scope: Scope = "all",
        shapes: Shapes = "one",
        every: int = 1,
        warmup: float = 0.0,
        finetune: float = 0.0,
        target: str = "",
        step: float = 2.0**-8,
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
    ) -> None:
        check_settings(lam=lam, update=update, eps=eps, scope=scope, shapes=shapes, every=every)
        validate.positive(step=step)
        Strength(1, warmup=warmup, finetune=finetune)
        self.lam, self.update, self.eps, self.scope = lam, update, eps, scope
        self.shapes, self.every, self.warmup, self.finetune = shapes, every, warmup, finetune
        self.bits, self.step = target_rate.parse(target), step
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the rate term over `parameters`. Raises UsageError if none are in scope."""
        term = BackSlash(
            parameters,
            self.lam,
            update=self.update,
            eps=self.eps,
            scope=self.scope,
            shapes=self.shapes,
            every=self.every,
            strength=Strength(plan.steps, warmup=self.warmup, finetune=self.finetune).at,
        )
        return term if self.bits is None else Targeted(term, self.bits, self.step, plan.steps)

    @property
    def quantiser(self) -> str:
        """Rounding to the step size at which the paper codes, or that of the target."""
        return f"quantize:step={spell_value(self.step)}"
