"""The seam to constriction: our tables to its models, its words to our bytes, its errors to ours.

constriction (Bamler, arXiv:2201.01741) codes into 32-bit words; on disk they are little-endian.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import constriction
import numpy as np

from slashbench.arrays import Int64s, UInt32s
from slashbench.errors import CorruptStream


def categorical(frequencies: Int64s) -> Any:
    """constriction's model of the frequencies.

    It is built from float64, which holds every frequency and their sum exactly, so the decoder
    arrives at the encoder's very probabilities.
    """
    return constriction.stream.model.Categorical(frequencies.astype(np.float64), perfect=False)


def to_bytes(words: UInt32s) -> bytes:
    """Return the words, little-endian."""
    return words.astype("<u4", copy=False).tobytes()


def to_words(payload: bytes) -> UInt32s:
    """Undo `to_bytes`. Raises CorruptStream for part of a word."""
    if len(payload) % 4:
        raise CorruptStream(f"{len(payload)} bytes are not whole 32-bit words")
    return np.frombuffer(payload, "<u4").astype(np.uint32)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what constriction raises over damaged words into CorruptStream.

    A Rust panic arrives as a PanicException, which derives from BaseException so that `except
    Exception` misses it, and which can only be told by its name.
    """
    try:
        yield
    except (ValueError, AssertionError, KeyError, OverflowError) as error:
        raise CorruptStream(f"the coded words are damaged ({error})") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptStream(f"the coded words are damaged ({error})") from error
