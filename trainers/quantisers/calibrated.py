"""Quantisers that look at data: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from slashbench.contracts import Calibration, Quantiser, Quantized
from slashbench.errors import UsageError

Arrays = Mapping[str, npt.NDArray[Any]]
AllQuantized = dict[str, Quantized | None]


class Calibrated(Quantiser):
    """A quantiser of whole checkpoints, which needs the model and batches of its training data."""

    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Raises UsageError: weights alone are not enough."""
        raise UsageError(
            f"{type(self).__name__} needs a model and its calibration data, so it works in recipes "
            "of `bench run` only; for weights alone take quantize, rtn or rdoq"
        )

    @abstractmethod
    def quantize_all(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Every tensor of the checkpoint, each tied one once."""
