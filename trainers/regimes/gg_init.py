"""Generalised-Gaussian initialisation (Wu, Xiong, Wen & Han, arXiv 2506.00486)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from slashbench.trainers.numerics import ggd
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.training.parameters import in_scope, local


class GeneralisedGaussianInit(Plain):
    """Plain training from weights drawn from a generalised Gaussian.

    shape: 2 is Gaussian, 1 Laplace; below 1 many weights start near zero. Each matrix keeps the
    standard deviation of the model's own initialisation, where the authors set the variance to
    xi / fan-out: so only the shape changes. Vectors stay as they are; weights that come
    pretrained are overwritten: for models trained from scratch.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("shape",)

    def __init__(self, shape: float = 1.0) -> None:
        super().__init__()
        if not ggd.MIN_SHAPE <= shape <= ggd.MAX_SHAPE:
            raise ValueError(f"shape={shape} must be in [{ggd.MIN_SHAPE}, {ggd.MAX_SHAPE}]")
        self.shape = shape

    @property
    def requires_training(self) -> bool:
        """It makes no sense for weights that are taken as they came."""
        return True

    @torch.no_grad()
    def initialise(self, module: nn.Module) -> None:
        """Draw every matrix anew from torch's seeded generator.

        |x / scale|^shape of a generalised Gaussian is Gamma distributed, of shape 1 / shape.
        """
        gamma = torch.distributions.Gamma(1.0 / self.shape, 1.0)
        for parameter in in_scope(module, "matrices").values():
            weights = local(parameter)
            mean_square = float(weights.square().mean())
            scale = ggd.scale_from_moments(mean_square, self.shape) if mean_square else 0.0
            signs = torch.randint(0, 2, weights.shape) * 2 - 1
            draws = gamma.sample(weights.shape) ** (1.0 / self.shape)
            weights.copy_(signs * draws * scale)
