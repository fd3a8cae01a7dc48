"""A small vision transformer on Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.data.fashion_mnist import SIDE
from slashbench.bench.models.image_classifier import FashionClassifier
from slashbench.contracts import TrainingPlan

PATCH, WIDTH, HEADS, BLOCKS = 4, 64, 4, 4


class FashionVit(FashionClassifier):
    """ViT 4x64 with patches of 4 (204k parameters) trained from scratch on Fashion-MNIST."""

    source: ClassVar[str] = "trained here on Fashion-MNIST"
    licence: ClassVar[str] = "MIT"
    step_hint_s: ClassVar[float] = 0.1
    evaluate_hint_s: ClassVar[float] = 8.0
    weights_hint: ClassVar[int] = 204_000

    def __init__(self, steps: int = 1600) -> None:
        super().__init__()
        self.steps = steps

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 1e-3, batches of 128."""
        return TrainingPlan(steps=self.steps, learning_rate=1e-3, warmup=self.steps // 10)

    def build(self, seed: int) -> nn.Module:
        """Freshly initialised."""
        return SmallVit()


class SmallVit(nn.Module):
    """Images (B, 1, 28, 28) -> logits (B, 10), by way of 49 patches and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn((SIDE // PATCH) ** 2, WIDTH))
        self.blocks = nn.ModuleList(ImageBlock() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 1, 28, 28) -> (B, 10)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.norm(x).mean(1))
        return logits


class ImageBlock(nn.Module):
    """Pre-norm attention over all patches and an MLP, each with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_out = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, width) -> (B, T, width)."""
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(2))
        out: torch.Tensor = x + self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x))))
        return out
