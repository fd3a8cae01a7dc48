"""What our codecs do beyond the conformance kit (test_conformance.py): sizes, settings, catalog."""

import importlib
import inspect
import runpy
from pathlib import Path

import numcodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import slashbench.codecs.base
from slashbench.codecs import rans_classes
from slashbench.codecs.base import Bound, OneChunkCodec, TensorCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.codecs.entropy import Entropy, order0_bits
from slashbench.codecs.stream import frame
from slashbench.errors import Unencodable

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
CONFIGURED = [CODECS.get(name)() for name in NAMES] + [
    CODECS.get("exp-golomb")(k=0, map="rank"),
    CODECS.get("exp-golomb")(k=5),
    CODECS.get("exp-golomb")(k=30, map="rank"),
    CODECS.get("huffman")(max_length=1),
    CODECS.get("huffman")(max_length=4),
    CODECS.get("huffman")(max_length=14),
    CODECS.get("zstd")(level=1),
]
INTEGERS = ["i1", "i2", "i4", "u1", "u2", "u4"]
FLOATS = ["f2", "f4", "f8"]

every_codec = pytest.mark.parametrize("codec", CONFIGURED, ids=repr)
of_integers = pytest.mark.parametrize(
    "codec", [codec for codec in CONFIGURED if "integers" in codec.domains], ids=repr
)
by_default = pytest.mark.parametrize("codec", CONFIGURED[: len(NAMES)], ids=NAMES)
floats_too = pytest.mark.parametrize(
    "codec", [codec for codec in CONFIGURED if "floats" in codec.domains], ids=repr
)


def assert_same(decoded, array):
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape
    assert decoded.tobytes() == array.tobytes()  # NaN payloads, -0.0


def assert_round_trip(codec, array):
    stream = codec.encode(array)
    assert isinstance(stream, bytes)
    assert_same(codec.decode(stream), array)
    assert sum(codec.ledger(stream).values()) == len(stream)


def geometric(n, ratio=0.7, seed=0):
    """Two-sided geometric symbols, int32, from the uniform bits of PCG64."""
    uniform = np.random.default_rng(seed).random((2, n))
    return np.subtract(*np.floor(np.log1p(-uniform) / np.log(ratio))).astype(np.int32)


@st.composite
def tensors(draw, dtypes):
    dtype = np.dtype(draw(st.sampled_from(dtypes))).newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    if dtype.kind == "f":
        bits = hnp.from_dtype(np.dtype(f"u{dtype.itemsize}"))
        raw = draw(hnp.arrays(f"u{dtype.itemsize}", shape, elements=bits))
        return raw.view(dtype)
    limits = np.iinfo(dtype)
    peak = draw(st.integers(limits.min, limits.max))
    near = st.integers(max(limits.min, peak - 3), min(limits.max, peak + 3))
    elements = draw(
        st.sampled_from([st.integers(limits.min, limits.max), near, st.just(peak)]),
    )
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    return draw(st.sampled_from([array, np.asfortranarray(array), np.flip(array), array.T]))


@of_integers
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_integers_come_back_bit_for_bit(codec, data):
    assert_round_trip(codec, data.draw(tensors(INTEGERS)))


@floats_too
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_floats_come_back_bit_for_bit(codec, data):
    assert_round_trip(codec, data.draw(tensors(FLOATS)))


@of_integers
def test_more_values_than_an_alphabet_holds(codec):
    array = np.concatenate([np.arange(-5000, 5000), np.arange(-10, 10)]).astype(np.int32)
    assert_round_trip(codec, array)
    array[17] = np.iinfo(np.int32).max
    assert_round_trip(codec, array)


@of_integers
def test_rare_values_escape_from_a_large_tensor(codec):
    array = geometric(600_000, ratio=0.5)
    array[:40] = np.arange(40) * 1_000_003
    assert_round_trip(codec, array)


@by_default
def test_default_config_needs_the_id_only(codec):
    assert numcodecs.get_codec({"id": codec.codec_id}) == codec


@every_codec
def test_each_chunk_alone_is_its_part_of_the_tensor(codec, monkeypatch):
    monkeypatch.setattr(frame, "CHUNK", 1200)
    monkeypatch.setattr(rans_classes, "CHUNK", 1200)
    symbols = geometric(30_000).reshape(300, 100) * (1 + np.arange(300)[:, None] % 4)
    array = symbols.astype(np.int8 if "integers" in codec.domains else np.float32)
    stream = codec.encode(array)
    chunks = [codec.decode_chunk(stream, i) for i in range(frame.unpack(stream).chunks)]
    assert_same(np.concatenate(chunks).reshape(array.shape), array)
    assert len(chunks) > 1 or isinstance(codec, OneChunkCodec)
    with pytest.raises(IndexError):
        codec.decode_chunk(stream, len(chunks))


@every_codec
def test_public_attributes_are_the_constructor_arguments(codec):
    arguments = inspect.signature(type(codec)).parameters.values()
    assert all(a.default is not a.empty and a.annotation is not a.empty for a in arguments)
    assert {a.name for a in arguments} == set(codec.get_config()) - {"id"}


@pytest.mark.parametrize(
    "codec", [codec for codec in CONFIGURED if "floats" not in codec.domains], ids=repr
)
def test_floats_are_refused_by_integer_codecs(codec):
    with pytest.raises(Unencodable, match=r"int8 to int32.*not float32|not float32.*int8 to int32"):
        codec.encode(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("exp-golomb", {"k": -2}),
        ("exp-golomb", {"k": 31}),
        ("exp-golomb", {"k": 1.5}),
        ("exp-golomb", {"k": True}),
        ("exp-golomb", {"map": "sign"}),
        ("huffman", {"max_length": 0}),
        ("huffman", {"max_length": 15}),
        ("huffman", {"max_length": "9"}),
        ("zstd", {"level": 0}),
        ("zstd", {"level": 23}),
        ("zstd", {"level": 3.0}),
    ],
)
def test_bad_settings_are_refused_at_once(name, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        CODECS.get(name)(**settings)


# Sizes

SIZED = ["rans", "rans-ggd", "range", "ans", "huffman", "exp-golomb"]


@pytest.mark.parametrize("ratio", [0.3, 0.7, 0.95])
def test_sizes_against_the_entropy(ratio):
    array = geometric(100_000, ratio)
    least = Entropy().bits(array)
    sizes = {name: 8 * len(CODECS.get(name)().encode(array)) for name in SIZED}
    for name in ("rans", "rans-ggd", "range", "ans"):
        assert least < sizes[name] < 1.01 * least + 1000
    assert least < sizes["huffman"] < least + array.size + 1000
    assert sizes["huffman"] < sizes["exp-golomb"] < 1.5 * least + array.size


@pytest.mark.parametrize("name", ["huffman", "range", "ans"])
def test_small_tensors_pay_little_for_tables(name):
    array = geometric(640)
    codec = CODECS.get(name)()
    stream = codec.encode(array)
    assert codec.ledger(stream)["tables"] <= 24
    assert len(stream) < order0_bits(array) / 8 + 55


@pytest.mark.parametrize(
    ("name", "header", "tables", "payload"),
    [  # 21 bytes of header: 6, shape 2, chunk 2, lengths 1 + 2, checksums 2 * 4
        ("pack", 21, 3, 250),
        ("exp-golomb", 21, 3, 250),
        ("huffman", 21, 6, 250),
    ],
)
def test_exact_lengths_of_four_equally_likely_symbols(name, header, tables, payload):
    array = np.tile(np.array([0, -1, 1, -2], np.int8), 250)
    if name == "exp-golomb":  # order 1 takes 2, 2, 4 and 4 bits
        payload = 375
    codec = CODECS.get(name)()
    stream = codec.encode(array)
    assert codec.ledger(stream) == {"header": header, "tables": tables, "payload": payload}


@pytest.mark.parametrize(
    "name", ["pack", "huffman", "rans", "rans-ggd", "rans-classes", "range", "ans"]
)
def test_a_constant_tensor_has_no_payload(name):
    codec = CODECS.get(name)()
    stream = codec.encode(np.full((100, 100), -17, np.int16))
    assert codec.ledger(stream)["payload"] == 0
    assert len(stream) <= 25


def test_entropy_by_hand():
    assert Entropy().bits(np.array([[0, 1], [2, 3]], np.uint8)) == 8.0
    assert Entropy().bits(np.zeros((0, 3), np.int32)) == 0.0
    assert Entropy().bits(np.full(9, 5, np.int8)) == 0.0
    assert Entropy().bits(np.array([2**32 - 1, 0], np.uint32)) == 2.0
    with pytest.raises(Unencodable, match="float32"):
        Entropy().bits(np.zeros(3, np.float32))


# The catalog


def modules():
    root = Path(slashbench.codecs.base.__file__).parent
    return [importlib.import_module(f"slashbench.codecs.{path.stem}") for path in root.glob("*.py")]


def test_every_codec_class_is_in_the_catalog():
    found = {
        cls
        for module in modules()
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and cls.__module__ == module.__name__
        and issubclass(cls, (TensorCodec, Bound))
        and not inspect.isabstract(cls)
        and not cls.__name__.startswith("_")
        and (getattr(cls, "codec_id", None) or issubclass(cls, Bound))
        and cls is not Bound
    }
    known = [registry.get(n) for registry in (CODECS, DELTAS) for n in registry.available()]
    assert found <= set(known)


@pytest.mark.parametrize("name", CODECS.available())
def test_every_codec_says_what_it_is(name):
    cls = CODECS.get(name)
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    assert summary.endswith((".", ")")), f"{name}: the first line is not one sentence"
    assert cls.domains <= {"integers", "floats"}
    if not issubclass(cls, Bound):
        assert cls.codec_id == f"slashbench.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_every_codec_has_golden_streams(name):
    cases = runpy.run_path(str(GOLDEN / "make.py"))["CASES"]
    streams = [case for case, (codec, *_) in cases.items() if codec == name]
    assert any((GOLDEN / "streams" / f"{case}.bin").exists() for case in streams), (
        f"add a case to golden/make.py for {name} and run it"
    )


def test_domains_of_dtypes():
    assert {frame.domain_of(np.dtype(name)) for name in INTEGERS} == {"integers"}
    assert {frame.domain_of(np.dtype(name)) for name in FLOATS} == {"floats"}
