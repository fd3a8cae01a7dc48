"""Generalised-Gaussian initialisation (Wu, Xiong, Wen & Han, arXiv 2506.00486)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.errors import BadSetting
from slashbench.trainers.numerics import ggd
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.training.parameters import in_scope, local, widened


class GeneralisedGaussianInit(Plain):
    """Train plainly from weights drawn from a generalised Gaussian.

    Each matrix keeps the standard deviation of the model's own initialisation, where the authors
    set the variance to xi / fan-out: only the shape changes. Vectors stay as they are. Weights
    that come pretrained are overwritten: for models trained from scratch.

    Parameters
    ----------
    shape : float
        Of the density, in [0.1, 3]: 2 is Gaussian, 1 Laplace; below 1 many weights start near zero.

    References
    ----------
    J. Wu, J. Xiong, J. Wen, Y. Han: It Takes a Good Model to Train a Good Model. arXiv 2506.00486.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("shape",)

    def __init__(self, shape: float = 1.0) -> None:
        super().__init__()
        validate.positive(shape=shape)
        if not ggd.MIN_SHAPE <= shape <= ggd.MAX_SHAPE:
            raise BadSetting(f"shape={shape} must be in [{ggd.MIN_SHAPE}, {ggd.MAX_SHAPE}]")
        self.shape = shape

    @property
    def requires_training(self) -> bool:
        """Whether it needs a model that is trained here: it overwrites the weights."""
        return True

    @torch.no_grad()
    def initialise(self, module: nn.Module) -> None:
        """Draw every matrix anew from torch's seeded generator.

        |x / scale|^shape of a generalised Gaussian is Gamma distributed, of shape 1 / shape.
        """
        gamma = torch.distributions.Gamma(1.0 / self.shape, 1.0)
        for parameter in in_scope(module, "matrices").values():
            weights = local(parameter)
            mean_square = float(widened(weights).square().mean())
            scale = ggd.scale_from_moments(mean_square, self.shape) if mean_square else 0.0
            signs = torch.randint(0, 2, weights.shape) * 2 - 1
            draws = gamma.sample(weights.shape) ** (1.0 / self.shape)
            weights.copy_(signs * draws * scale)
