"""Floats with the mantissa under the exponent: FORMAT.md in plain Python, sizes, damage."""

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slashbench import parallel
from slashbench.codecs import float_classes
from slashbench.codecs.float_classes import FloatClasses
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.modelling import float_model
from slashbench.codecs.modelling.float_model import FloatModel, Grid
from slashbench.codecs.reference import rans
from slashbench.codecs.stream import exceptions, frame
from slashbench.codecs.stream.mapping import unzigzag
from slashbench.codecs.stream.table_bytes import Reader

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [BFLOAT16, np.dtype(np.float16), np.dtype(np.float32)]


@pytest.fixture
def small_classes(monkeypatch):
    monkeypatch.setattr(float_classes, "CLASS_OF_VALUES", 1000)
    monkeypatch.setattr(float_classes, "CHUNK", 3000)


def weights(shape, dtype, spread=1.0, seed=0):
    """Gaussian; rows differ in scale by a factor of e^spread, one standard deviation."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.normal(0, spread, shape[0])).reshape(-1, *[1] * (len(shape) - 1))
    return (rng.normal(0, 0.02, shape) * scales).astype(dtype)


def read(stream):
    """(form, low, frequencies of each class, class of each row, forms of the planes)."""
    parts = frame.unpack(stream)
    reader = Reader(parts.tables)
    form, low = reader.byte(), reader.byte()
    assert form & 3 == 2
    n_classes = reader.varint(8)
    numbers = np.cumsum(unzigzag(reader.integers(3 * n_classes)).astype(int)).reshape(3, -1)
    models = [FloatModel(*map(int, found)) for found in numbers.T]
    labels, width = [0] * parts.shape[0], (n_classes - 1).bit_length()
    if width:
        packed = reader.array(np.dtype("u1"), -(-parts.shape[0] * width // 8))
        bits = "".join(f"{byte:08b}" for byte in packed)
        labels = [int(bits[i * width : (i + 1) * width], 2) for i in range(parts.shape[0])]
    half = parts.dtype == np.float16
    grid = Grid(3, subnormal=True) if half else Grid(4, subnormal=False)
    forms = [reader.byte() for _ in range(3 if parts.dtype.itemsize == 4 else 1)]
    reader.end()
    return form, low, float_model.frequencies(models, grid).tolist(), labels, forms


def words_of(stream, index):
    """The words of one chunk with all planes raw, as FORMAT.md tells."""
    parts = frame.unpack(stream)
    form, low, frequencies, labels, forms = read(stream)
    assert not any(forms)
    count = parts.values_in(index, index + 1)
    length = parts.count // parts.shape[0] if len(frequencies) > 1 else count
    payload, at = parts.payload(index).tobytes(), 0
    patches = {}
    if form & 4:
        steps, at = frame.read_varint(payload, 0)
        place = 0
        values = at + 2 * steps
        for (step,) in struct.iter_unpack("<H", payload[at:values]):
            place += step
            if step != 0xFFFF:
                patches[place] = payload[values + len(patches)]
                place += 1
        at = values + len(patches)
    (size,) = struct.unpack_from("<I", payload, at)
    coded, rest = payload[at + 4 : at + 4 + size], payload[at + 4 + size :]
    first = index * parts.chunk // length
    rows = sorted(range(count // length), key=lambda row: labels[first + row])
    ends = np.cumsum([sum(labels[first + r] == k for r in rows) for k in range(len(frequencies))])
    edges = np.minimum(-(-ends * length // 16) * 16, count)
    if len(frequencies) == 1:
        edges = [count]
    symbols = rans.decode(coded, count, list(zip(edges, frequencies, strict=True)), 14)
    words, half = [0] * count, (length + 1) // 2
    for place, row in enumerate(rows):
        for i in range(length):
            at = row * length + i
            symbol = symbols[place * length + i]
            if parts.dtype == np.float16:
                words[at] = symbol << 7 | rest[at] & 127 | rest[at] >> 7 << 15
                continue
            byte = rest[row * half + i % half]
            four = byte & 15 if i < half else byte >> 4
            exponent = patches.get(at, low + (symbol >> 4))
            top = (exponent << 4 | symbol & 15) << 3 | four & 7 | four >> 3 << 15
            if parts.dtype.itemsize == 4:
                planes = rest[len(rows) * half :]
                top = top << 16 | planes[at] << 8 | planes[count + at]
            words[at] = top
    return words


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_streams_are_what_the_format_says(dtype, small_classes):
    tensor = weights((41, 151), dtype)
    if dtype != np.float16:
        tensor[7, 3] = tensor[40, 150] = 1e30
    stream = FloatClasses().encode(tensor)
    form, _, frequencies, _, _ = read(stream)
    assert len(frequencies) > 1
    assert bool(form & 4) == (dtype != np.float16)
    found = words_of(stream, 0) + words_of(stream, 1)
    assert found == tensor.reshape(-1).view(f"u{dtype.itemsize}").tolist()
    assert FloatClasses().decode(stream).tobytes() == tensor.tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_vector_is_one_row_a_chunk(dtype, small_classes):
    tensor = weights((7001,), dtype, spread=0.1)
    stream = FloatClasses().encode(tensor)
    assert len(read(stream)[2]) == 1
    assert words_of(stream, 1) == tensor.view(f"u{dtype.itemsize}")[3501:].tolist()
    assert FloatClasses().decode_chunk(stream, 1).tobytes() == tensor[3501:].tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_one_scale_come_within_a_hundredth_of_the_bits_of_their_law(dtype):
    tensor = weights((300, 700), dtype, spread=0.0)
    words = tensor.reshape(-1).view(f"u{dtype.itemsize}")
    mantissa = {2: 7, 4: 23}[dtype.itemsize] if dtype != np.float16 else 10
    drop = mantissa - (3 if dtype == np.float16 else 4)
    _, counts = np.unique(words << 1 >> (1 + drop), return_counts=True)
    bound = -(counts * np.log2(counts / words.size)).sum() / words.size + 1 + drop
    assert 8 * len(FloatClasses().encode(tensor)) / words.size < bound + 0.015


def test_scales_of_rows_are_worth_something():
    tensor = weights((512, 700), BFLOAT16, spread=0.5)
    one = FloatClasses().encode(tensor.reshape(-1))
    assert len(FloatClasses().encode(tensor)) < 0.99 * len(one)


def odd_tensors():
    rng = np.random.default_rng(0)
    for dtype in (*DTYPES, np.dtype(np.float64)):
        bits = rng.integers(0, 2 ** (8 * dtype.itemsize) - 1, (60, 50), f"u{dtype.itemsize}")
        yield "noise", bits.view(dtype)
        yield "zeros", np.zeros((300, 300), dtype)
        yield "upcast", weights((300, 300), BFLOAT16).astype(dtype)
        yield "steps", (rng.integers(-8, 8, (300, 300)) * 0.013).astype(dtype)
        yield "positive", (1 + np.abs(weights((300, 300), np.float64))).astype(dtype)
        pruned = weights((300, 300), dtype)
        pruned[rng.random(pruned.shape) < 0.5] = 0
        yield "pruned", pruned
        yield "small", weights((16,), dtype)


@pytest.mark.parametrize(("what", "tensor"), list(odd_tensors()))
def test_nothing_is_larger_than_by_exponents_alone(what, tensor):
    stream = FloatClasses().encode(tensor)
    assert len(stream) <= len(FloatRans().encode(tensor)) + 1, what
    assert FloatClasses().decode(stream).tobytes() == tensor.tobytes()


def test_threads_share_chunks_of_whole_rows(small_classes):
    tensor = weights((97, 301), BFLOAT16)
    stream = FloatClasses().encode(tensor)
    assert frame.unpack(stream).chunks > 4
    token = parallel.threads.set(3)
    try:
        assert FloatClasses().decode(stream).tobytes() == tensor.tobytes()
    finally:
        parallel.threads.reset(token)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([np.uint16, np.uint32, np.uint64]).flatmap(
        lambda bits: arrays.arrays(bits, arrays.array_shapes(max_dims=3, max_side=40))
    ),
    st.booleans(),
)
def test_every_bit_pattern_comes_back(bits, half):
    dtype = {2: np.float16 if half else BFLOAT16, 4: np.float32, 8: np.float64}[bits.itemsize]
    tensor = bits.view(dtype)
    decoded = FloatClasses().decode(FloatClasses().encode(tensor))
    assert decoded.tobytes() == tensor.tobytes()


@given(st.integers(0, 224), st.integers(0, 1984), st.integers(0, 15), st.booleans())
@settings(deadline=None, max_examples=60)
def test_frequencies_are_a_table_wherever_the_parameters_lie(shape, scale, top, subnormal):
    grid = Grid(3 if subnormal else 4, subnormal=subnormal)
    found = float_model.frequencies([FloatModel(shape, scale, top)], grid)
    if found is not None:
        last = (top + 1) << grid.sub
        assert found.sum() == 1 << 14
        assert (found[0, :last] >= 1).all()
        assert not found[0, last:].any()


def test_exceptions_far_apart_take_long_steps():
    tensor = weights((70_000,), BFLOAT16, spread=0.0)
    tensor[69_990] = 1e30
    stream = FloatClasses().encode(tensor)
    assert FloatClasses().decode(stream).tobytes() == tensor.tobytes()
    assert exceptions.LONG < 69_990
