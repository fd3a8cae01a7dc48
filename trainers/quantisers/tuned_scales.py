"""Scales tuned by distillation when the integers are fixed, as WaterSIC-FT does (arXiv 2603.04956).

Factors of rows and columns are trained by Adam to the least divergence of the model's answers from
those of the float model, on calibration batches. Integers stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from slashbench.contracts import Calibration, Quantized, Weights
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import float_of_scales

RATE = 5e-3  # largest relative change of a scale in a step, at first; it falls as a cosine


def tuned(
    found: Mapping[str, Quantized | None],
    weights: Weights,
    calibration: Calibration,
    batches: Sequence[Any],
    steps: int,
) -> dict[str, Quantized | None]:
    """Return the same integers with scales after `steps` steps, one batch each.

    weights: the float model's. Raises UsageError for a model whose loss is no cross-entropy.
    """
    teacher = calibration.module(weights).requires_grad_(False)
    module = calibration.module(weights).requires_grad_(False)
    scaled = {name: _Scaled(q) for name, q in found.items() if q is not None and _has_scales(q)}
    optimizer = torch.optim.Adam([p for s in scaled.values() for p in s.logs], lr=RATE)
    wanted = [_logs(calibration, teacher, batch) for batch in batches]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        called = _Called(module, {n: calibration.whole(n, s.weight()) for n, s in scaled.items()})
        index = step % len(batches)
        with torch.enable_grad():
            logs = _logs(calibration, called, batches[index])
            loss = functional.kl_div(logs, wanted[index], reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: scaled[name].quantized() if name in scaled else q for name, q in found.items()}


class _Scaled:
    """A quantized matrix whose scales are trained as logarithms of what they are multiplied by."""

    def __init__(self, quantized: Quantized) -> None:
        assert isinstance(quantized.grid, TensorScale | ChannelScales)
        self.values, self.grid = quantized.values, quantized.grid
        self._plain = torch.from_numpy(quantized.dequantize())
        rows = len(self._plain) if isinstance(self.grid, ChannelScales) else 1
        self.logs = [torch.zeros(rows, requires_grad=True)]
        if isinstance(self.grid, ChannelScales) and self.grid.columns is not None:
            self.logs.append(torch.zeros(len(self.grid.columns), requires_grad=True))

    def weight(self) -> torch.Tensor:
        """Return the weights with today's scales."""
        flat = self._plain.flatten(1) * self.logs[0].exp()[:, None]
        if len(self.logs) > 1:
            flat = flat * self.logs[1].exp()
        return flat.view(self._plain.shape)

    def quantized(self) -> Quantized:
        """Return the integers with the scales that a file stores."""
        factors = [log.detach().exp().numpy() for log in self.logs]
        if isinstance(self.grid, TensorScale):
            return Quantized(self.values, TensorScale(float(self.grid.scale * factors[0][0])))
        parts = [self.grid.scales.astype(np.float32) * factors[0]]
        if self.grid.columns is not None:
            parts.append(self.grid.columns.astype(np.float32) * factors[1])
        kind = float_of_scales(
            min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
        )
        return Quantized(self.values, ChannelScales(*(part.astype(kind) for part in parts)))


class _Called(nn.Module):
    """A module that is called with other weights in place of some of its own."""

    def __init__(self, module: nn.Module, weights: Weights) -> None:
        super().__init__()
        self._called, self._weights = [module], weights  # hidden: it is no part of this one

    def forward(self, *args: Any, **more: Any) -> Any:
        return torch.func.functional_call(self._called[0], self._weights, args, more)


def _logs(calibration: Calibration, module: nn.Module, batch: Any) -> torch.Tensor:
    return functional.log_softmax(calibration.model.predict(module, batch).logits.float(), -1)


def _has_scales(quantized: Quantized) -> bool:
    grid = quantized.grid
    one_a_row = isinstance(grid, ChannelScales) and grid.scales.ndim == 1
    return quantized.values.ndim >= 2 and (one_a_row or isinstance(grid, TensorScale))
