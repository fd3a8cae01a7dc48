"""Quantisers that look at data: what they share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy.typing as npt
import torch

from slashbench.contracts import Calibration, Quantiser, Quantized, Weights
from slashbench.errors import UsageError
from slashbench.trainers.numerics.integers import check_finite

Arrays = Mapping[str, npt.NDArray[Any]]
AllQuantized = dict[str, Quantized | None]


def as_tensors(weights: Arrays) -> Weights:
    """Return weights as tensors over the same memory, which may be a file's: never write to it."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # torch's, of just that
        return {name: torch.from_numpy(weight) for name, weight in weights.items()}


class Calibrated(Quantiser):
    """A quantiser of whole checkpoints, which needs the model and batches of its training data."""

    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Raise UsageError: weights alone are not enough."""
        raise UsageError(
            f"{type(self).__name__} needs a model and its calibration data, so it works in recipes "
            "of `bench run` only; for weights alone take quantize, rtn or rdoq"
        )

    @final
    def quantize_all(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Quantize every tensor of a checkpoint, each tied one once.

        Raises Unencodable for weights that are not finite.
        """
        for name, weight in weights.items():
            check_finite(name, weight)
        return self.quantize_checkpoint(weights, calibration)

    @abstractmethod
    def quantize_checkpoint(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Return every tensor quantized, in the order given; None for one that stays as it is."""
