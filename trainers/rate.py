"""What an entropy coder will charge for an integer, from the frequencies of the very integers."""

from __future__ import annotations

import torch

#: Counts that an integer which does not occur is given, where a table must cover more than it saw.
UNSEEN = 0.5


class CodeLengths:
    """-log2 of the frequency of each integer of a tensor: what an adaptive or table coder nears.

    smoothing: added to the count of every integer in reach. With 0 an integer that does not occur
        costs infinitely much, and no table is shorter in sum for the integers it was made from.
    margin: integers at either end beyond those that occur, to have a cost of their own; those
        further out cost what the last of them does.
    """

    def __init__(self, integers: torch.Tensor, smoothing: float = 0.0, margin: int = 0) -> None:
        flat = integers.flatten().long()
        self._low = int(flat.min()) - margin
        counts = torch.bincount(flat - self._low).double()
        counts = torch.cat([counts, torch.zeros(margin, dtype=torch.float64)]) + smoothing
        self._bits = torch.log2(counts.sum() / counts).float()

    def of(self, integers: torch.Tensor) -> torch.Tensor:
        """Bits of each, float32, in the shape of `integers`, which are whole numbers."""
        return self._bits[(integers.long() - self._low).clamp_(0, len(self._bits) - 1)]


def nearer_zero(integers: torch.Tensor) -> list[torch.Tensor]:
    """The candidates beside each integer: one and two towards zero, and zero.

    A longer code never pays for a larger error, and codes grow longer away from zero.
    """
    sign = integers.sign()
    one = integers - sign
    return [one, one - one.sign(), torch.zeros_like(integers)]
