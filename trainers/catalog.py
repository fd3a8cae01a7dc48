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
TRANSFORMS.lazy("prune-layers", "slashbench.trainers.prune:LayerPrune")
TRANSFORMS.lazy("wanda", "slashbench.trainers.wanda:Wanda")
TRANSFORMS.lazy("sparsegpt", "slashbench.trainers.sparsegpt:SparseGPT")
TRANSFORMS.lazy("deepshape", "slashbench.trainers.deepshape:DeepShape")

QUANTISERS.lazy("quantize", "slashbench.trainers.quantize:Uniform")
QUANTISERS.lazy("quantize-std", "slashbench.trainers.quantize:UniformInStd")
QUANTISERS.lazy("quantize-rows", "slashbench.trainers.quantize_rows:RowsInStd")
QUANTISERS.lazy("round", "slashbench.trainers.round:RoundTensor")
QUANTISERS.lazy("round-rows", "slashbench.trainers.round:RoundRows")
QUANTISERS.lazy("round-groups", "slashbench.trainers.round:RoundGroups")
QUANTISERS.lazy("kmeans", "slashbench.trainers.codebook:KMeans")
QUANTISERS.lazy("rf8", "slashbench.trainers.rf8:RF8")
QUANTISERS.lazy("gptq", "slashbench.trainers.gptq:GPTQ")
QUANTISERS.lazy("gptq-loss", "slashbench.trainers.gptq_loss:GPTQLoss")
QUANTISERS.lazy("rdoq", "slashbench.trainers.rdoq:Rdoq")
QUANTISERS.lazy("lattice", "slashbench.trainers.lattice:Lattice")
QUANTISERS.lazy("native", "slashbench.trainers.native:Native")
