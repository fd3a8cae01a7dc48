"""From weights to the integers of a grid, and what every quantiser refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from slashbench.errors import Unencodable

Array = npt.NDArray[Any]


def check_finite(name: str, weight: Array | torch.Tensor) -> None:
    """Raises Unencodable for NaN and infinity."""
    if not torch.isfinite(torch.as_tensor(weight)).all():
        raise Unencodable(f"{name} holds weights that are not finite: training went wrong")


def float_of_steps(least: float, largest: float) -> torch.dtype:
    """What steps from `least` to `largest` are stored in: float16 where it has all its digits."""
    limits = torch.finfo(torch.float16)
    return torch.float16 if limits.tiny <= least <= largest <= limits.max else torch.float32


def to_int32(name: str, scaled: Array) -> npt.NDArray[np.int32]:
    """weight / step rounded to integers, ties to the even one. Raises Unencodable over 2^31."""
    integers = np.rint(scaled)
    if integers.size and not np.abs(integers).max() < 2**31:
        raise Unencodable(f"{name}: the step is too fine, |weight| / step is over 2^31")
    return integers.astype(np.int32)
