"""slashbench: how many bits does a trained weight really need?

Compressed checkpoints: `save_file`, `load_file`, `safe_open`, `load_model`, as in safetensors;
`iterate_tensors` for loaders that take names and tensors, `CompressedConfig` for `from_pretrained`
of transformers; `decode_limit` bounds what a stream may decode to.
Rate-constrained training: `BackSlash` for a torch loop of your own, `BackSlashCallback` for a
Hugging Face Trainer.
The benchmark: `run` fills a results folder, `results` returns its records as a table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from slashbench.version import __version__

if TYPE_CHECKING:
    from slashbench.bench.checkpoint.pytorch import (
        iterate_tensors,
        load_file,
        load_model,
        safe_open,
        save_file,
    )
    from slashbench.bench.notebook.runs import results, run
    from slashbench.bench.runtimes.compressed_config import CompressedConfig
    from slashbench.codecs.stream.frame import decode_limit
    from slashbench.trainers.huggingface import BackSlashCallback
    from slashbench.trainers.regimes.backslash import BackSlash

__all__ = [
    "BackSlash",
    "BackSlashCallback",
    "CompressedConfig",
    "__version__",
    "decode_limit",
    "iterate_tensors",
    "load_file",
    "load_model",
    "results",
    "run",
    "safe_open",
    "save_file",
]

if not TYPE_CHECKING:  # a checker sees the imports above, and refuses other names
    _TENSORS = "slashbench.bench.checkpoint.pytorch"
    _RUNS = "slashbench.bench.notebook.runs"

    #: Where each name is, imported when it is first used: importing slashbench stays light.
    _FACE = {
        "save_file": _TENSORS,
        "load_file": _TENSORS,
        "load_model": _TENSORS,
        "safe_open": _TENSORS,
        "iterate_tensors": _TENSORS,
        "CompressedConfig": "slashbench.bench.runtimes.compressed_config",
        "decode_limit": "slashbench.codecs.stream.frame",
        "BackSlash": "slashbench.trainers.regimes.backslash",
        "BackSlashCallback": "slashbench.trainers.huggingface",
        "run": _RUNS,
        "results": _RUNS,
    }

    def __getattr__(name):
        if name not in _FACE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(importlib.import_module(_FACE[name]), name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
