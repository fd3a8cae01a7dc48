"""Records of earlier schema versions, brought to today's names and fields as they are read.

A file on disk is never rewritten: what was published stays as it was measured. Every function here
is a pure function of the parsed JSON of one record, or of one file of `bench speed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slashbench import renamed

Raw = dict[str, Any]

#: The one metric whose tolerance was a share of it in version 1, and what that is a share of: the
#: plain float kjv-gpt, the only model with that metric.
_BITS, _BITS_PER_BYTE = "bits per byte", 1.66


def upgraded(raw: Raw) -> Raw:
    """Return a record as the newest schema version spells it.

    Parameters
    ----------
    raw : dict
        Parsed JSON of any schema version up to `VERSION`. It is not changed.

    Returns
    -------
    dict
        The same record with `schema_version` equal to `VERSION`.
    """
    for step in _STEPS[raw.get("schema_version", 1) - 1 :]:
        raw = step(raw)
    return {**raw, "schema_version": VERSION}


def _from_1(raw: Raw) -> Raw:
    """Return a record of schema version 1 as version 2 has it."""
    found = dict(raw)
    if "recipe" in found:
        found["recipe"], found["execution"] = _executed(found["recipe"])
    if "codec" in found:
        found["codec"] = renamed.current("codec", found["codec"])
    if "recipe" in found:
        found["recipe"] = renamed.current_recipe(found["recipe"])
    if "regime" in found:
        found["regime"] = renamed.current("training regime", found["regime"])
    if found.get("metric") == _BITS and "tolerance" in found:
        found["tolerance"] = found["tolerance"] * _BITS_PER_BYTE
    if "speeds" in found:
        found["speeds"] = [_from_1(speed) for speed in found["speeds"]]
    if "against" in found:
        found["against"] = [renamed.current("codec", text) for text in found["against"]]
    return found


def _executed(recipe: str) -> tuple[str, str]:
    """Return a recipe alone, and how version 1 says behind it that its training was executed.

    >>> _executed("plain+quantize:step=2^-8 (bf16, 2 processes)")
    ('plain+quantize:step=2^-8', 'bf16, 2 processes')
    >>> _executed("plain")
    ('plain', '')
    """
    links, parenthesis, execution = recipe.partition(" (")
    return links, execution.removesuffix(")") if parenthesis else ""


#: The n-th takes a record from schema version n to n + 1.
_STEPS: tuple[Callable[[Raw], Raw], ...] = (_from_1,)

#: The version that this slashbench writes; it reads all before.
VERSION = len(_STEPS) + 1
