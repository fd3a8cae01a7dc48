"""slashbench: how many bits does a trained weight really need?

Compressed checkpoints: `save_file`, `load_file`, `safe_open`, `load_model`, as in safetensors.
Rate-constrained training: `BackSlash` for a torch loop of one's own, `BackSlashCallback` for a
Hugging Face Trainer.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_TENSORS = "slashbench.bench.checkpoint.pytorch"

#: What `slashbench.NAME` is, imported when it is first used: importing slashbench stays light.
_FACE = {
    "save_file": _TENSORS,
    "load_file": _TENSORS,
    "load_model": _TENSORS,
    "safe_open": _TENSORS,
    "BackSlash": "slashbench.trainers.regimes.backslash",
    "BackSlashCallback": "slashbench.trainers.huggingface",
}


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FACE])
