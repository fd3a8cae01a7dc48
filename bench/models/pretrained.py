"""Pretrained weights put into modules without a second copy, and kept in a form quick to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from slashbench.bench.data import cache
from slashbench.bench.data.base import pinned
from slashbench.contracts import Weights
from slashbench.errors import CorruptFile


def assembled(
    make: Callable[[], nn.Module],
    state: Mapping[str, torch.Tensor],
    buffers: Mapping[str, torch.Tensor] | None = None,
) -> Any:
    """Return a module around these tensors, which it takes over, in evaluation mode.

    It is made without memory for weights of its own.

    Parameters
    ----------
    make
        Makes the module, with any weights.
    state
        Its parameters; of tied ones those that a library's `tie_weights` takes for the others.
    buffers
        Its buffers.

    Raises
    ------
    CorruptFile
        Where these are not all of its tensors, or others than those.
    """
    with torch.device("meta"):
        module = make()
    try:
        _, unknown = module.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:  # of another shape
        raise CorruptFile(f"the weights are not of this model: {error}") from error
    tie: Any = getattr(module, "tie_weights", None)
    if tie is not None:
        tie()
    for name, buffer in (buffers or {}).items():
        owner, _, leaf = name.rpartition(".")
        module.get_submodule(owner).register_buffer(leaf, buffer, persistent=False)
    tensors = [*module.named_parameters(), *module.named_buffers()]
    left = [name for name, tensor in tensors if tensor.is_meta]
    if unknown or left:
        raise CorruptFile(f"the weights are not of this model: missing {left}, unknown {unknown}")
    return module.eval()


def kept(name: str, make: Callable[[], Weights]) -> Weights:
    """Return weights that are made once and then kept in the cache.

    name: with what they follow from, such as a hash and a revision. Raises CorruptFile, and
    StoreUnusable.
    """
    path = cache.made(f"{name}.safetensors", lambda: save(make()))
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CorruptFile(f"{path} is damaged: {error}; remove it: it is made anew") from error


def converted(name: str, sha256: str, convert: Callable[[], Weights]) -> Path:
    """Return the safetensors file of some weights, converted once and then kept in the cache.

    sha256: of the file, which every machine makes alike. Raises CorruptFile.
    """
    path = cache.made(f"{name}-{sha256[:16]}.safetensors", lambda: save(convert()))
    return pinned(path, sha256, f"remove {path}: it is made anew")
