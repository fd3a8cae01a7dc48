"""Training with nothing but the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from slashbench.contracts import Penalty, Regime

if TYPE_CHECKING:
    from torch import nn


class Plain(Regime):
    """Minimise the loss alone; for a model that is not trained here, its weights as they came."""

    def penalty(self, parameters: Mapping[str, nn.Parameter]) -> Penalty:
        """A penalty that does nothing."""
        return Penalty()

    @property
    def trains(self) -> bool:
        """Plain also stands for pretrained weights left as they are."""
        return False
