"""The code length of rounded weights as a function of the weights: what an entropy coder charges.

A coder with a table per tensor spends -log2 of each integer's relative frequency. Between integers
the length is interpolated linearly, so that it has a slope everywhere: the rate of the actual
quantiser and coder, where BackSlash's |theta|^shape is proportional to that of a fitted density.
"""

from __future__ import annotations

import torch

from slashbench.errors import Unencodable
from slashbench.trainers.training.parameters import widened, with_step_sizes

#: Largest integer with a table entry of its own; beyond it the slope is 0.
LARGEST = 255

#: Added to every count: no length is infinite, and a rare integer is no cliff.
SMOOTHING = 0.5

MARGIN = 3  # integers beyond either end of a table's own that cost what an unseen one does
MAX_SPAN = 1 << 24  # entries of a table, 128 MB


def count(weights: torch.Tensor, step_sizes: torch.Tensor) -> torch.Tensor:
    """Count each magnitude 0 .. LARGEST among round(weights / step size), float64.

    step_sizes: one, shape (), or one a row, shape (rows,).
    """
    counts = torch.zeros(LARGEST + 1, dtype=torch.float64, device=weights.device)
    for step_size, part in with_step_sizes(step_sizes, weights):
        rounded = widened(part).abs().div_(step_size).round_().clamp_(max=LARGEST).to(torch.int64)
        counts += torch.bincount(rounded.flatten(), minlength=LARGEST + 1)
    return counts


def lengths(counts: torch.Tensor) -> torch.Tensor:
    """Return the bits of an integer of magnitude 0 .. LARGEST, sign included.

    counts: of magnitudes. Lengths never fall with the magnitude: a larger integer that happens to
    be more frequent must not attract weights.
    """
    signed = counts.clone()
    signed[1:] /= 2
    total = counts.sum() + SMOOTHING * (2 * counts.numel() - 1)
    bits = -torch.log2((signed + SMOOTHING) / total)
    return torch.cummax(bits, 0).values


def entropy(counts: torch.Tensor) -> float:
    """Return the order-0 entropy in bits of all integers: the sum of their ideal lengths."""
    signed = counts.clone()
    signed[1:] /= 2
    share = signed / counts.sum().clamp(min=1)
    return float(-(counts * torch.log2(share.clamp(min=1e-300))).sum())


def slopes(counts: torch.Tensor) -> torch.Tensor:
    """Return d length / d|theta / step size| in bits between neighbouring integers, float32.

    Entry i holds from i to i + 1; there are LARGEST + 1, and the last one is 0.
    """
    bits = lengths(counts)
    return torch.cat([bits.diff(), bits.new_zeros(1)]).float()


class LengthTable:
    """Code lengths: -log2 of the frequency of each integer of a tensor.

    smoothing: added to the count of every integer in reach. With 0 an integer that does not occur
        costs infinitely much, and no table is shorter in sum for the integers it was made from.
        Integers far out cost what the last one with a cost of its own does.
    Raises Unencodable where the integers span too many values for a table, or are too large.
    """

    def __init__(self, integers: torch.Tensor, smoothing: float = 0.0) -> None:
        low, high = (float(end) for end in integers.aminmax())
        largest = max(-low, high)
        if not (high - low <= MAX_SPAN and largest < 2.0**53):  # nor where one is infinite
            raise Unencodable(
                "the step is too fine to price bits: integers span more than 2^24 values, or one "
                "is over 2^53; take a coarser step, or lam=0"
            )
        self.low = int(low) - MARGIN
        narrow = largest < 2.0**30  # int32 takes half the memory
        flat = integers.flatten().to(torch.int32 if narrow else torch.int64)
        counts = torch.bincount(flat - self.low).double()
        counts = torch.cat([counts, torch.zeros(MARGIN, dtype=torch.float64)]) + smoothing
        self.bits = torch.log2(counts.sum() / counts).float().numpy()

    def of(self, integers: torch.Tensor) -> torch.Tensor:
        """Return the bits of each integer, float32, in the shape of `integers`."""
        index = (integers.long() - self.low).clamp_(0, len(self.bits) - 1)
        return torch.from_numpy(self.bits)[index]
