"""What counts as a weight: what steps after training may prune, reshape or quantize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_BLOCK = 1 << 20  # values, of which temporary copies are made at a time


def why_kept(weight: npt.NDArray[Any]) -> str:
    """Return why a float tensor must stay as it is, in words; empty if it is a weight.

    A mask of -inf is no weight, and what quantisers compute in float32 must fit float32. A buffer
    is no weight either, which only the model knows: see `Calibration.why_kept`.
    """
    flat, largest = weight.reshape(-1), 0.0
    for begin in range(0, flat.size, _BLOCK):
        block = np.abs(flat[begin : begin + _BLOCK].astype(np.float64)).max()
        if not np.isfinite(block):
            return "it holds values that are not finite"
        largest = max(largest, float(block))
    limits = np.finfo(np.float32)
    fits = largest == 0 or float(limits.tiny) <= largest <= float(limits.max)
    if weight.itemsize > 4 and not fits:
        return f"its largest magnitude, {largest:g}, is outside the range of float32"
    return ""


def as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Return a float tensor as an array of at least 32 bits, without a copy if it has them."""
    detached = tensor.detach().cpu()
    return (detached.float() if detached.element_size() < 4 else detached).numpy()
