"""A module of transformers with the tensors of a checkpoint, and its tokenizer; no code of theirs.

The architecture must be one that transformers itself has. Weights are read by `bench/formats`, a
tensor at a time, and handed to `from_pretrained` by its argument `state_dict`.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from slashbench.bench.formats.weight_files import WeightFiles
from slashbench.errors import CorruptFile, MissingDependency, UsageError

CONFIG = "config.json"
TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt",
    "spiece.model", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def config_of(folder: Path) -> Any:
    """Return the configuration of a checkpoint. Raises UsageError where transformers has none."""
    if importlib.util.find_spec("transformers") is None:
        raise MissingDependency("a metric needs transformers: pip install 'slashbench[models]'")
    if not (folder / CONFIG).is_file():
        raise UsageError(
            f"{folder} has no {CONFIG}, so nothing says what its weights belong to: leave out "
            "--eval and --calibration, or name a folder as transformers saves them"
        )
    from transformers import AutoConfig

    with _explained(folder):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def architecture_of(config: Any, folder: Path) -> Any:
    """Return the class of transformers that the weights belong to. Raises UsageError for none."""
    import transformers

    names = [str(name) for name in config.architectures or ()]
    for name in names:
        found = getattr(transformers, name, None) if name.isidentifier() else None
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    said = f"the architecture {names[0]}" if names else "no architecture"
    raise UsageError(
        f"{folder}: its {CONFIG} names {said}, which transformers has no class for, and code "
        "that comes with a checkpoint is not run: leave out --eval and --calibration"
    )


def module_of(folder: Path, weights: WeightFiles) -> nn.Module:
    """Return the module, in evaluation mode, its parameters in memory of their own.

    Raises
    ------
    UsageError
        Where transformers does not know the architecture.
    CorruptFile
        Where tensors are missing, or of another shape.
    """
    config = config_of(folder)
    architecture = architecture_of(config, folder)
    with _explained(folder), _quietly():
        module, said = architecture.from_pretrained(
            None, config=config, state_dict=dict(weights), output_loading_info=True
        )
    wrong = [*said["missing_keys"], *(name for name, *_ in said["mismatched_keys"])]
    if wrong or said.get("error_msgs"):
        more = f" and {len(wrong) - 1} more" if wrong[1:] else ""
        what = f"{sorted(wrong)[0]}{more}" if wrong else str(said["error_msgs"][0])
        raise CorruptFile(
            f"{folder}: {architecture.__name__} does not find {what} in the shape it needs"
        )
    found: nn.Module = module.eval()
    return found


def tokenizer_of(folder: Path) -> Any:
    """Return the tokenizer. Raises UsageError where there is none that transformers can read."""
    from transformers import AutoTokenizer

    with _explained(folder), _quietly():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (UsageError, CorruptFile):
        raise
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError,
    ) as error:  # fmt: skip
        first = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{folder}: transformers can't load it: {type(error).__name__}: {first}"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Show no bars and no reports of loading; what is wrong is said by an error."""
    from transformers.utils import logging

    theirs: Any = logging
    bars = theirs.is_progress_bar_enabled()
    level = theirs.get_verbosity()
    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()
