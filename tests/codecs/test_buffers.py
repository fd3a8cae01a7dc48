"""Codecs hand back the buffer they were given, whatever its order in memory and its byte order.

Zarr and numcodecs know no shape: they take the bytes of what `decode` returns. NumPy's users go by
index. Both must find the numbers that were encoded.
"""

from __future__ import annotations

from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.compat import ensure_contiguous_ndarray

from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.numcodecs_adapter import by_id
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray, MemoryOrder
from slashbench.errors import CorruptStream

CLASSES = [CODECS.get(name) for name in CODECS.available()] + [by_id("zlib")]
CODECS_OF_TENSORS = [cls() for cls in CLASSES if not issubclass(cls, Bound)]
EVERY_CODEC = pytest.mark.parametrize("codec", CODECS_OF_TENSORS, ids=lambda c: c.codec_id)

SHAPES = st.lists(st.integers(0, 6), max_size=4).map(tuple)


@st.composite
def arrays(draw, domains):
    """Small arrays of any layout that NumPy has views for."""
    kinds = [k for k, d in [("i", "integers"), ("u", "integers"), ("f", "floats")] if d in domains]
    kind = draw(st.sampled_from(kinds))
    size = draw(st.sampled_from((2, 4, 8) if kind == "f" else (1, 2, 4)))
    shape = draw(SHAPES)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.normal(0, 20, shape).round().astype(f"{draw(st.sampled_from('<>'))}{kind}{size}")
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if draw(st.booleans()):
        array = array.copy(draw(st.sampled_from("CFAK")))
    if array.ndim and draw(st.booleans()):
        array = array[..., :: draw(st.sampled_from((-1, 2)))]
    return array


def bits(array):
    """The values by index, as bytes, in one byte order."""
    return array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()


@EVERY_CODEC
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_values_and_buffer_come_back(codec, data):
    array = data.draw(arrays(codec.domains))
    stream = codec.encode(array)
    decoded = codec.decode(stream)
    assert decoded.shape == array.shape
    assert decoded.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert bits(decoded) == bits(array)
    assert b"".join(codec.pieces(array)) == codec.encode(
        np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    )
    try:
        memory = ensure_contiguous_ndarray(array).tobytes()
    except ValueError:  # numcodecs takes nothing that is not in one block
        return
    assert ensure_contiguous_ndarray(decoded).tobytes() == memory
    for out in (bytearray(array.nbytes), np.empty(array.nbytes, np.uint8)):
        if array.nbytes:
            codec.decode(stream, out=out)
            assert bytes(out) == memory


@EVERY_CODEC
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_an_out_of_the_same_shape_is_filled_by_index(codec, data):
    array = data.draw(arrays(codec.domains))
    stream = codec.encode(array)
    out = np.empty_like(array.T, order=data.draw(st.sampled_from("CF"))).T
    out = out.astype(array.dtype.newbyteorder(data.draw(st.sampled_from("<>"))), order="K")
    assert codec.decode(stream, out=out) is out
    assert bits(out) == bits(array)


def test_an_out_of_another_type_gets_the_bits_by_index():
    array = np.arange(12, dtype=np.int16).reshape(3, 4) - 5
    for order in "CF":
        out = np.empty((3, 4), np.uint16, order)
        CODECS.get("pack")().decode(CODECS.get("pack")().encode(array), out=out)
        assert np.array_equal(out, array.view(np.uint16))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("codec", "dtype"),
    [
        (codec, dtype)
        for codec in ("huffman", "rans-classes", "ans", "zstd", "pcodec", "float-rans")
        for dtype in ("<i4", ">i4", ">u2", "<f4", ">f8")
        if frame.domain_of(np.dtype(dtype)) in CODECS.get(codec).domains
    ],
)
def test_zarr_reads_the_same_numbers(codec, order, dtype, tmp_path: Path):
    cls = CODECS.get(codec)
    array = np.arange(210).reshape(7, 30).astype(dtype)
    written = zarr.create_array(
        store=str(tmp_path / "a.zarr"),
        shape=array.shape,
        chunks=(4, 30),
        dtype=dtype,
        order=order,
        zarr_format=2,
        compressors=numcodecs.get_codec({"id": cls.codec_id}),
    )
    written[:] = array
    assert np.array_equal(zarr.open_array(str(tmp_path / "a.zarr"), mode="r")[:], array)


def test_an_order_that_no_array_has_is_damage():
    coded = CodedArray(b"", [(b"",)], 3)
    for dtype, shape, order in [
        ("i2", (3,), MemoryOrder(fortran=True)),
        ("i1", (3, 1), MemoryOrder(big_endian=True)),
    ]:
        stream = b"".join(frame.pieces(np.dtype(dtype), shape, coded, order))
        with pytest.raises(CorruptStream, match="no array lies in that order"):
            frame.unpack(stream)
