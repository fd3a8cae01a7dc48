"""What an entropy coder will charge for an integer, from the frequencies of the very integers."""

from __future__ import annotations

import torch

from slashbench.errors import Unencodable

#: Counts that an integer which does not occur is given, where a table must cover more than it saw.
UNSEEN = 0.5

MARGIN = 3  # integers beyond either end of a table's own that cost what an unseen one does
MAX_SPAN = 1 << 24  # entries of a table, 128 MB


class CodeLengths:
    """-log2 of the frequency of each integer of a tensor: what an adaptive or table coder nears.

    smoothing: added to the count of every integer in reach. With 0 an integer that does not occur
        costs infinitely much, and no table is shorter in sum for the integers it was made from.
        Integers far out cost what the last one with a cost of its own does.
    Raises Unencodable where the integers span too many values for a table.
    """

    def __init__(self, integers: torch.Tensor, smoothing: float = 0.0) -> None:
        flat = integers.flatten().long()
        if int(flat.max()) - int(flat.min()) > MAX_SPAN:
            raise Unencodable(
                "the step is too fine to price bits: integers span more than 2^24 values; "
                "take a coarser step, or lam=0"
            )
        self._low = int(flat.min()) - MARGIN
        counts = torch.bincount(flat - self._low).double()
        counts = torch.cat([counts, torch.zeros(MARGIN, dtype=torch.float64)]) + smoothing
        self._bits = torch.log2(counts.sum() / counts).float()

    def of(self, integers: torch.Tensor) -> torch.Tensor:
        """Bits of each, float32, in the shape of `integers`, which are whole numbers."""
        return self._bits[(integers.long() - self._low).clamp_(0, len(self._bits) - 1)]


def candidates(nearest: torch.Tensor) -> list[torch.Tensor]:
    """What a weight may become: the nearest integer, one and two towards zero, and zero.

    A longer code never pays for a larger error, and codes grow longer away from zero.
    """
    one = nearest - nearest.sign()
    return [nearest, one, one - one.sign(), torch.zeros_like(nearest)]
