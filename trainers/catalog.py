"""Every regime, transform and quantiser by name. A new one: its file, one line."""

from __future__ import annotations

from slashbench.contracts import Quantiser, Regime, Transform
from slashbench.registry import Registry

REGIMES: Registry[Regime] = Registry("training regime", group="slashbench.regimes")
TRANSFORMS: Registry[Transform] = Registry("transform", group="slashbench.transforms")
QUANTISERS: Registry[Quantiser] = Registry("quantiser", group="slashbench.quantisers")

REGIMES.lazy("plain", "slashbench.trainers.regimes.plain:Plain")
REGIMES.lazy("backslash", "slashbench.trainers.regimes.backslash:BackSlashRegime")
REGIMES.lazy("backslash-q", "slashbench.trainers.regimes.backslash_q:BackSlashQ")
REGIMES.lazy("delta-q", "slashbench.trainers.regimes.delta_q:DeltaQ")
REGIMES.lazy("lora", "slashbench.trainers.regimes.lora:Lora")
REGIMES.lazy("lora-q", "slashbench.trainers.regimes.lora_q:LoraQ")
REGIMES.lazy("bitfit", "slashbench.trainers.regimes.bitfit:BitFit")
REGIMES.lazy("diff-pruning", "slashbench.trainers.regimes.diff_pruning:DiffPruning")
REGIMES.lazy("norm", "slashbench.trainers.regimes.norm:Norm")
REGIMES.lazy("qat", "slashbench.trainers.regimes.qat:QuantizationAware")
REGIMES.lazy("lsq", "slashbench.trainers.regimes.lsq:LSQ")
REGIMES.lazy("epr", "slashbench.trainers.regimes.epr:EPR")
REGIMES.lazy("gradual-prune", "slashbench.trainers.regimes.gradual_prune:GradualPrune")
REGIMES.lazy("gg-init", "slashbench.trainers.regimes.gg_init:GeneralisedGaussianInit")

TRANSFORMS.lazy("prune", "slashbench.trainers.transforms.prune:MagnitudePrune")
TRANSFORMS.lazy("prune-layers", "slashbench.trainers.transforms.prune:LayerPrune")
TRANSFORMS.lazy("wanda", "slashbench.trainers.transforms.wanda:Wanda")
TRANSFORMS.lazy("sparsegpt", "slashbench.trainers.transforms.sparsegpt:SparseGPT")
TRANSFORMS.lazy("snap", "slashbench.trainers.transforms.snap:Snap")
TRANSFORMS.lazy("deepshape", "slashbench.trainers.transforms.deepshape:DeepShape")
TRANSFORMS.lazy("delta", "slashbench.trainers.transforms.from_base:FromBase")
TRANSFORMS.lazy("factors", "slashbench.trainers.transforms.factors:Factors")
TRANSFORMS.lazy("stack", "slashbench.trainers.transforms.stack:Stack")
TRANSFORMS.lazy("dare", "slashbench.trainers.transforms.dare:Dare")

QUANTISERS.lazy("quantize", "slashbench.trainers.quantisers.quantize:Uniform")
QUANTISERS.lazy("rtn", "slashbench.trainers.quantisers.rtn:RoundToNearest")
QUANTISERS.lazy("kmeans", "slashbench.trainers.quantisers.kmeans:KMeans")
QUANTISERS.lazy("rf8", "slashbench.trainers.quantisers.rf8:RF8")
QUANTISERS.lazy("gptq", "slashbench.trainers.quantisers.gptq:GPTQ")
QUANTISERS.lazy("gptq-loss", "slashbench.trainers.quantisers.gptq_loss:GPTQLoss")
QUANTISERS.lazy("watersic", "slashbench.trainers.quantisers.watersic:WaterSIC")
QUANTISERS.lazy("adaround", "slashbench.trainers.quantisers.adaround:AdaRound")
QUANTISERS.lazy("entquant", "slashbench.trainers.quantisers.entquant:EntQuant")
QUANTISERS.lazy("rdoq", "slashbench.trainers.quantisers.rdoq:Rdoq")
QUANTISERS.lazy("trellis", "slashbench.trainers.quantisers.trellis:Trellis")
QUANTISERS.lazy("sign", "slashbench.trainers.quantisers.sign:Sign")
QUANTISERS.lazy("ongrid", "slashbench.trainers.quantisers.ongrid:OnGrid")
QUANTISERS.lazy("native", "slashbench.trainers.quantisers.native:Native")
