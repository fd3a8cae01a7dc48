"""Imported once by the server that fresh processes are forked from: loads the compiled kernels.

Each codec codes three symbols of no checkpoint, so that a fork need not wait for its kernels; what
it decodes later it has never seen. Peers have no kernels, and ZipNN's library imports torch, which
would take seconds and stand in the peak of memory of every codec's decoder.
"""

from __future__ import annotations

import contextlib

import numpy as np

from slashbench.codecs.base import TensorCodec
from slashbench.codecs.catalog import CODECS

for _name in CODECS.available():
    with contextlib.suppress(Exception):  # one that fails says so where it is used
        _codec = CODECS.get(_name)()
        if isinstance(_codec, TensorCodec) and ".peers." not in type(_codec).__module__:
            _codec.decode(_codec.encode(np.array([0, 1, -1], np.int32)))
