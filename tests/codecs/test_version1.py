"""Streams of version 1, which slashbench 0.1 wrote, decode for ever; damaged ones are refused."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from slashbench.codecs.catalog import CODECS
from slashbench.errors import CorruptStream

HERE = Path(__file__).parents[1] / "golden"
TENSORS = runpy.run_path(str(HERE / "make.py"))["TENSORS"]
STREAMS = {path.stem: path.read_bytes() for path in sorted((HERE / "version1").glob("*.bin"))}

every_stream = pytest.mark.parametrize("name", STREAMS)


def parts(name):
    """(codec, tensor) of `codec.tensor` or `codec.settings-tensor`."""
    codec, _, case = name.partition(".")
    return CODECS.get(codec)(), TENSORS[case.rpartition("-")[2]]


def test_they_are_all_here():
    assert len(STREAMS) == 55


@every_stream
def test_stream_decodes(name):
    codec, tensor = parts(name)
    for data in (STREAMS[name], memoryview(STREAMS[name]), np.frombuffer(STREAMS[name], "u1")):
        decoded = codec.decode(data)
        assert decoded.dtype == tensor.dtype
        assert decoded.shape == tensor.shape
        assert decoded.tobytes() == tensor.tobytes()


@every_stream
def test_damage_is_refused(name):
    codec, _ = parts(name)
    rng = np.random.default_rng(1)
    stream = STREAMS[name]
    for place in rng.integers(8, 8 * len(stream), 100):  # the first byte is the version
        flipped = bytearray(stream)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptStream):
            codec.decode(bytes(flipped))
    for size in {0, 1, 2, 3, 7, len(stream) // 2, len(stream) - 1} - {len(stream)}:
        with pytest.raises(CorruptStream):
            codec.decode(stream[:size])
