"""Norms of the weights as penalties: the rate term with its shape held fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingPlan
from slashbench.errors import BadSetting
from slashbench.trainers.regimes.backslash import BackSlash, Update, check_settings
from slashbench.trainers.training.parameters import Scope

MAX_P = 4.0


class Norm(Regime):
    """L1, L2 or any L^p penalty: lam / Np * sum (|theta| + eps)^p, BackSlash with a fixed shape.

    Parameters
    ----------
    p : float
        Power, in (0, 4]: 1 is the lasso, 2 weight decay, 0.5 the third of the paper's Table 6.
    lam : float
        Lagrange multiplier, in units of the loss.
    update : {"gradient", "decoupled", "proximal"}
        Where the term acts, as in `slashbench.BackSlash`. By default in the gradient, as a term
        of the objective is commonly implemented.
    eps : float
        Keeps the slope finite at zero where p < 1, in units of the weights. Far below BackSlash's
        1, which would make every norm nearly the L1 norm.
    scope : {"all", "matrices"}
        Every parameter, or only those of two and more dimensions.
    longer, peak, distil, fresh
        The course of the training: see `Course`.

    References
    ----------
    arXiv 2504.16968, Table 6: the ablation of the adaptive shape.
    """

    shards: ClassVar[bool] = True
    added_settings: ClassVar[tuple[str, ...]] = ("longer", "peak", "distil", "fresh")
    always_spelled: ClassVar[tuple[str, ...]] = ("p", "lam")

    def __init__(
        self,
        p: float = 1.0,
        lam: float = 1000.0,
        update: Update = "gradient",
        eps: float = 1e-3,
        scope: Scope = "all",
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
    ) -> None:
        validate.positive(p=p)
        if p > MAX_P:
            raise BadSetting(f"p={p} must be at most {MAX_P:g}")
        check_settings(lam=lam, update=update, eps=eps, scope=scope)
        self.p, self.lam, self.update, self.eps, self.scope = p, lam, update, eps, scope
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> BackSlash:
        """Return the norm of `parameters`. Raises UsageError if none are in scope."""
        return BackSlash(
            parameters,
            self.lam,
            update=self.update,
            eps=self.eps,
            scope=self.scope,
            shape=self.p,
        )
