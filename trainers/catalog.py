"""Every regime, post-training step and quantiser by name. A new one: its file, one line."""

from __future__ import annotations

from slashbench.contracts import Quantiser, Regime, Transform
from slashbench.registry import Registry

REGIMES: Registry[Regime] = Registry("training regime", group="slashbench.regimes")
TRANSFORMS: Registry[Transform] = Registry("post-training step", group="slashbench.transforms")
QUANTISERS: Registry[Quantiser] = Registry("quantiser", group="slashbench.quantisers")

REGIMES.lazy("plain", "slashbench.trainers.plain:Plain")
REGIMES.lazy("backslash", "slashbench.trainers.backslash:BackSlashRegime")
REGIMES.lazy("backslash-q", "slashbench.trainers.backslash_q:BackSlashQ")
REGIMES.lazy("norm", "slashbench.trainers.norm:Norm")
REGIMES.lazy("qat", "slashbench.trainers.straight_through:QuantisationAware")
REGIMES.lazy("gradual-prune", "slashbench.trainers.gradual_prune:GradualPrune")
REGIMES.lazy("gg-init", "slashbench.trainers.gg_init:GeneralisedGaussianInit")

TRANSFORMS.lazy("prune", "slashbench.trainers.prune:MagnitudePrune")

QUANTISERS.lazy("quantize", "slashbench.trainers.quantize:Uniform")
QUANTISERS.lazy("quantize-std", "slashbench.trainers.quantize:UniformInStd")
QUANTISERS.lazy("native", "slashbench.trainers.native:Native")
