"""No quantization: the lossless baseline."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from slashbench.contracts import Quantiser, Quantized, RowBlocks


class Native(Quantiser):
    """Keep every weight as the float it is, for codecs that take floats: the lossless baseline."""

    domain: ClassVar[str] = "floats"

    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Return the weights unchanged."""
        return Quantized(weight, None)

    def in_blocks(self, name: str, weight: npt.NDArray[Any]) -> RowBlocks | None:
        """Return None: there is no grid."""
