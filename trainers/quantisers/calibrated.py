"""Quantisers that look at data: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from slashbench.contracts import Calibration, Quantised, Quantiser
from slashbench.errors import UsageError

Arrays = Mapping[str, npt.NDArray[Any]]
AllQuantised = dict[str, Quantised | None]


class Calibrated(Quantiser):
    """A quantiser of whole checkpoints, which needs the model and batches of its training data."""

    def quantise(self, name: str, weight: npt.NDArray[Any]) -> Quantised | None:
        """Raises UsageError: weights alone are not enough."""
        raise UsageError(
            f"{type(self).__name__} needs a model and its calibration data, so it works in recipes "
            "of `bench run` only; for weights alone take quantize, quantize-std, round-rows or rdoq"
        )

    @abstractmethod
    def quantise_all(self, weights: Arrays, calibration: Calibration) -> AllQuantised:
        """Every tensor of the checkpoint, each tied one once."""
