"""Models small enough to check calibrated methods on, whose inputs are strongly correlated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import nn

from slashbench.contracts import Metrics, Model, Reference, Split


class Tiny(Model):
    """Linear 8-12-4 on correlated inputs, one of which is always zero; a vector and a buffer."""

    source: ClassVar[str] = "tests"
    licence: ClassVar[str] = "MIT"
    metric: ClassVar[str] = "nothing"
    tolerance: ClassVar[float] = 1.0

    @property
    def plan(self) -> None:
        return None

    def inputs(self) -> dict[str, str]:
        return {}

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.BatchNorm1d(12), nn.Linear(12, 4))

    def calibration(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        mixing = torch.randn(3, 8, generator=generator)
        mixing[:, 5] = 0.0
        while True:
            noise = 0.1 * torch.randn(32, 8, generator=generator) * (mixing[:1] != 0)
            yield torch.randn(32, 3, generator=generator) @ mixing + noise

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = module(batch).square().mean()
        return loss

    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        raise AssertionError("transforms and quantisers must not evaluate")


class Tied(Tiny):
    """Token ids -> embedding -> linear -> head tied to the embedding, run before a dead layer."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return TiedModule()

    def calibration(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield torch.randint(5, (4, 7), generator=generator)


class TiedModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.middle = nn.Linear(6, 6)
        self.head = nn.Linear(6, 9, bias=False)
        self.never = nn.Linear(6, 6)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.middle(self.embedding(ids)))
        return out


class Masked(Tiny):
    """A linear layer, a mask of -inf and a table of positions, both of them float buffers."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return MaskedModule()


class MaskedModule(nn.Module):
    mask: torch.Tensor
    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("mask", torch.full((8, 8), -torch.inf).triu(1))
        self.register_buffer("table", torch.linspace(-1, 1, 64).reshape(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x @ self.table) @ (self.mask == 0).float()
        return out


class Deep(Tiny):
    """Three residual blocks of two linear layers in a ModuleList; the sum is made in place."""

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return DeepModule()


class DeepModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            out: torch.Tensor = block(x)
            out += x
            x = out
        return x


class NoLinear(Tiny):
    """One convolution."""

    def build(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Conv1d(1, 2, 3))

    def calibration(self, seed: int) -> Iterator[Any]:
        while True:
            yield torch.randn(2, 1, 8)
