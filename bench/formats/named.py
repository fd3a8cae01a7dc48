"""Which names of tensors a safetensors file can hold."""

from __future__ import annotations

from collections.abc import Container

from slashbench.bench.checkpoint import plain_header


def why_not(name: str, taken: Container[str] = ()) -> str:
    """Return why a tensor can't have this name, in words; empty if it can."""
    if name in taken:
        return "a tensor of this name was there before"
    if name == plain_header.METADATA:
        return "safetensors keeps this name for itself"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no valid text"
    return ""
