"""A small decoder-only transformer (GPT-2's layout without biases, head tied to the embedding)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class GptConfig:
    """Sizes. 4 x 128 with 2,048 tokens has 1.07 million parameters."""

    vocabulary: int = 2048
    context: int = 128
    layers: int = 4
    heads: int = 4
    width: int = 128


class Gpt(nn.Module):
    """Token ids (B, T) -> logits (B, T, vocabulary)."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self.head.weight = self.token_embedding.weight  # tied
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                std = 0.02 / math.sqrt(2 * config.layers) if name.endswith("out.weight") else 0.02
                nn.init.normal_(parameter, std=std)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits of the next token at every position."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.token_embedding(ids) + self.position_embedding(positions)  # (B, T, width)
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.norm(x))
        return logits


class Block(nn.Module):
    """Pre-norm attention and MLP, each with a residual connection."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.width, bias=False)
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.mlp_norm = nn.LayerNorm(config.width, bias=False)
        self.mlp_in = nn.Linear(config.width, 4 * config.width, bias=False)
        self.mlp_out = nn.Linear(4 * config.width, config.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, width) -> (B, T, width)."""
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)  # (B, heads, T, width/heads)
            for part in self.qkv(self.attention_norm(x)).split(width, dim=2)
        )
        mixed = _attend(q, k, v)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        hidden: torch.Tensor = functional.gelu(self.mlp_in(self.mlp_norm(x)))
        out: torch.Tensor = x + self.mlp_out(hidden)
        return out


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return causal attention, (B, heads, T, width/heads) each."""
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    # In bfloat16 torch's kernel for the CPU takes twice the time that it takes in float32.
    with torch.autocast("cpu", enabled=False):
        q, k, v = q.float(), k.float(), v.float()
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
