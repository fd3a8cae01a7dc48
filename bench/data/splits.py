"""Splits by the hash of an example: which part it is in depends on nothing but what it says."""

from __future__ import annotations

import hashlib
from typing import Literal

Part = Literal["train", "validation", "test"]


def part_of(example: bytes, validation: int = 10, test: int = 10) -> Part:
    """Return the part that an example is in, of a hundred: so many validation, so many test.

    >>> [part_of(b"one"), part_of(b"two"), part_of(b"one", validation=0, test=100)]
    ['validation', 'train', 'test']
    """
    place = int.from_bytes(hashlib.sha256(example).digest()[:8], "big") % 100
    if place < validation:
        return "validation"
    return "test" if place < validation + test else "train"
