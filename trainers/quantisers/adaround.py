"""AdaRound: learn for each weight whether it is rounded up or down, layer by layer."""

from __future__ import annotations

from typing import ClassVar

import torch

from slashbench import validate
from slashbench.contracts import Quantized
from slashbench.trainers.numerics.code_length import SMOOTHING, LengthTable
from slashbench.trainers.quantisers.gptq import Factor
from slashbench.trainers.quantisers.gptq_loss import GPTQLoss, on_steps, scale
from slashbench.trainers.quantisers.quantize import Scope

RATE = 5e-2  # of Adam, on the variables behind the choices
_HIGH, _LOW = 1.1, -0.1  # zeta and gamma, to which the sigmoid is stretched
_SHARP, _SOFT = 2.0, 20.0  # beta goes from soft to sharp
_FREE = 0.2  # share of the steps before choices are pushed to 0 or 1
_PUSH = 1.0  # lambda: of the push, in squared step sizes


class AdaRound(GPTQLoss):
    """Round each weight up or down, whichever the layer's output wants: learned by descent.

    Layer by layer, each layer sees what the quantized ones before it put out. The output error is
    exact, from the second moment of the layer's inputs. The step sizes of rows are those of
    `gptq-loss`; the paper has one for each tensor. With `lam` above 0, descent also sees what the
    longer code of one of the two integers costs. Embeddings are quantized by RDOQ.

    Parameters
    ----------
    step : float
        Geometric mean of the step sizes over all weights.
    lam : float
        Squared step sizes that a bit is worth; the paper's is 0.
    steps : int
        Of Adam, for each layer.
    batches, damp, floor, tune, scope
        As in `gptq-loss`.

    References
    ----------
    Nagel, Amjad, van Baalen, Louizos & Blankevoort: Up or Down? Adaptive Rounding for Post-Training
    Quantization. ICML 2020, arXiv 2004.10568, eq. 21 to 24, with the layer's own output for its
    target, without the activation function of eq. 25.
    """

    hint_s: ClassVar[float] = 8.0
    added_settings: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        step: float = 2.0**-3,
        lam: float = 0.0,
        steps: int = 1000,
        batches: int = 16,
        damp: float = 0.1,
        floor: float = 0.3,
        tune: int = 0,
        scope: Scope = "matrices",
    ) -> None:
        super().__init__(step, lam, batches, damp, floor, tune=tune, scope=scope)
        validate.at_least(1, steps=steps)
        self.steps = steps

    def layer(
        self,
        name: str,
        weight: torch.Tensor,
        sensitivity: torch.Tensor,
        unit: float,
        moment: torch.Tensor,
    ) -> Quantized:
        """Quantize one weight (rows, columns), given the second moment of its inputs."""
        scaled, importance, sizes = scale(weight, sensitivity, unit)
        price = self.lam * _slope(scaled) if self.lam else torch.zeros(())
        damped = moment + self.damp * moment.diagonal().mean() * torch.eye(len(moment)).double()
        curvature = (damped / Factor(moment, self.damp, "activity").scale).float()
        integers = learned(scaled, curvature, importance[:, None], price, self.steps)
        return on_steps(name, integers, sizes, weight.shape)


def learned(
    scaled: torch.Tensor,
    curvature: torch.Tensor,
    importance: torch.Tensor,
    price: torch.Tensor,
    steps: int,
) -> torch.Tensor:
    """Return integers, each the one below a weight or the one above it.

    Parameters
    ----------
    scaled : torch.Tensor
        Weights in step sizes, (rows, columns), float32.
    curvature : torch.Tensor
        An error e of a row costs e curvature e^T, (columns, columns).
    importance : torch.Tensor
        Factor on that, (rows, 1).
    price : torch.Tensor
        What the upper integer costs above the lower, (rows, columns) or ().
    steps : int
        Of Adam.
    """
    below = scaled.floor()
    above = scaled - below  # what h is at first
    stretched = ((above - _LOW) / (_HIGH - _LOW)).clamp(1e-6, 1 - 1e-6)
    behind = torch.logit(stretched).requires_grad_()
    optimizer = torch.optim.Adam([behind], lr=RATE)
    free = int(_FREE * steps)
    chosen = above
    for step in range(steps + 1):
        share = torch.sigmoid(behind.detach())
        chosen = (share * (_HIGH - _LOW) + _LOW).clamp(0, 1)  # eq. 23
        if step == steps:
            break
        slope = 2 * importance * ((chosen - above) @ curvature) + price
        if step >= free:
            left = 1 - (step - free) / max(steps - free, 1)
            beta = _SHARP + (_SOFT - _SHARP) * left
            side = 2 * chosen - 1
            slope -= _PUSH * 2 * beta * side.abs().pow(beta - 1) * side.sign()  # of eq. 24
        inside = (chosen > 0) & (chosen < 1)
        behind.grad = slope * inside * share * (1 - share) * (_HIGH - _LOW)
        optimizer.step()
    return below + (chosen >= 0.5)


def _slope(scaled: torch.Tensor) -> torch.Tensor:
    """Return the bits that the integer above each weight costs above the one below it."""
    table = LengthTable(scaled.round(), smoothing=SMOOTHING)
    below = scaled.floor()
    return table.of(below + 1) - table.of(below)
