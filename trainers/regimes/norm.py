"""Norms of the weights as penalties: the rate term with its shape held fixed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from slashbench.contracts import Regime, TrainingPlan
from slashbench.trainers.regimes.backslash import BackSlash, Update, check_multiplier
from slashbench.trainers.training.parameters import Scope


class Norm(Regime):
    """L1, L2 or any L^p penalty: lam / Np * sum (|theta| + eps)^p, BackSlash with a fixed shape.

    p: 1 is the lasso, 2 weight decay, 0.5 the third of the paper's Table 6. lam, update: see
    BackSlash. eps: keeps the slope finite at zero where p < 1.
    """

    shards: ClassVar[bool] = True
    always_spelled: ClassVar[tuple[str, ...]] = ("p", "lam")

    def __init__(
        self,
        p: float = 1.0,
        lam: float = 1000.0,
        update: Update = "gradient",
        eps: float = 1e-3,
        scope: Scope = "all",
    ) -> None:
        check_multiplier(lam)
        if not (0 < p <= 4 and eps > 0 and math.isfinite(eps)):
            raise ValueError(f"p={p} must be in (0, 4] and eps={eps} a finite number > 0")
        self.p, self.lam, self.update, self.eps, self.scope = p, lam, update, eps, scope

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> BackSlash:
        """The norm of `parameters`. Raises UsageError when none are in scope."""
        return BackSlash(
            parameters,
            self.lam,
            update=self.update,
            eps=self.eps,
            scope=self.scope,
            shape=self.p,
        )
