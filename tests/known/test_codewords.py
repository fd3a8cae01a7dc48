"""Codewords and orders that can be checked on paper, and kernels against plain Python."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slashbench.codecs import frame
from slashbench.codecs.alphabet import Alphabet, histogram, translate
from slashbench.codecs.exp_golomb import ExpGolomb
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.kernels import fixed, golomb, prefix
from slashbench.codecs.mapping import by_rank, from_rank_table, rank_table, unzigzag, zigzag
from slashbench.codecs.model import MAX_TOTAL, ideal_bits, quantise
from slashbench.codecs.pack import Pack
from slashbench.codecs.prefix_code import canonical, package_merge
from slashbench.codecs.tables import Reader, integer_list
from slashbench.errors import CorruptStream

LARGEST = 2**32 - 1

uint32s = st.one_of(st.integers(0, 20), st.integers(0, LARGEST), st.integers(LARGEST - 3, LARGEST))


def plain_exp_golomb(value, k):
    """The definition: value + 2^k in binary, after a zero for each bit beyond k + 1."""
    binary = f"{value + 2**k:b}"
    return "0" * (len(binary) - 1 - k) + binary


def padded(bits):
    """A string of bits as the bytes a kernel writes."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def encode_golomb(values, k):
    values = np.array(values, np.uint32)
    return golomb.encode(values, k, int(golomb.lengths_by_order(values)[k]))


# Exp-Golomb


@pytest.mark.parametrize(
    ("k", "codewords"),
    [  # the paper's Table 2
        (0, ["1", "010", "011", "00100", "00101", "00110", "00111", "0001000"]),
        (1, ["10", "11", "0100", "0101", "0110", "0111", "001000", "001001"]),
        (2, ["100", "101", "110", "111", "01000", "01001", "01010", "01011"]),
        (3, ["1000", "1001", "1010", "1011", "1100", "1101", "1110", "1111", "010000"]),
    ],
)
def test_exp_golomb_codewords(k, codewords):
    for value, codeword in enumerate(codewords):
        assert encode_golomb([value], k) == padded(codeword)
    together = encode_golomb(range(len(codewords)), k)
    assert together == padded("".join(codewords))
    values, used = golomb.decode(together, len(codewords), k)
    assert values.tolist() == list(range(len(codewords)))
    assert used == len(together)


@pytest.mark.parametrize(
    ("value", "codeword"),
    [
        (2**32 - 1, "0" * 32 + "1" + "0" * 32),
        (2**32 - 2, "0" * 31 + "1" * 32),
        (2**32 - 3, "0" * 31 + "1" * 31 + "0"),
    ],
)
def test_three_largest_values(value, codeword):
    assert encode_golomb([value], 0) == padded(codeword)


@pytest.mark.parametrize("k", range(golomb.MAX_ORDER + 1))
def test_edges_of_every_order_against_plain_python(k):
    edges = {0, 1, LARGEST}
    edges |= {2**p + d for p in range(32) for d in (-1, 0, 1)}
    edges |= {2**p - 2**k + d for p in range(k, 33) for d in (-1, 0, 1)}
    values = sorted(value for value in edges if 0 <= value <= LARGEST)
    expected = "".join(plain_exp_golomb(value, k) for value in values)
    coded = encode_golomb(values, k)
    assert coded == padded(expected)
    assert golomb.decode(coded, len(values), k)[0].tolist() == values


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(uint32s, max_size=40), st.integers(0, golomb.MAX_ORDER))
def test_exp_golomb_against_plain_python(values, k):
    codewords = [plain_exp_golomb(value, k) for value in values]
    coded = encode_golomb(values, k)
    assert coded == padded("".join(codewords))
    assert golomb.decode(coded, len(values), k)[0].tolist() == values


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(uint32s, min_size=1, max_size=40))
def test_best_order_is_the_shortest(values):
    lengths = [
        sum(len(plain_exp_golomb(value, k)) for value in values)
        for k in range(golomb.MAX_ORDER + 1)
    ]
    assert golomb.best_order(np.array(values, np.uint32)) == (
        lengths.index(min(lengths)),
        min(lengths),
    )


@pytest.mark.parametrize(
    "bits",
    [
        "0" * 33 + "1" + "0" * 33,  # a 34-bit number
        "0" * 32 + "1" + "0" * 31 + "1",  # 2^32
        "0" * 40,
        "00001",  # cut off
        "1" + "1000000",  # a one bit in the padding
    ],
)
def test_exp_golomb_refuses_what_it_never_writes(bits):
    with pytest.raises(CorruptStream):
        values, used = golomb.decode(padded(bits), 1, 0)
        assert (values.size, used) == (1, 1)


def test_exp_golomb_refuses_more_codewords_than_bits():
    with pytest.raises(CorruptStream, match="can't hold"):
        golomb.decode(b"\xff" * 10, 10**15, 0)
    with pytest.raises(CorruptStream):
        golomb.decode(b"\xff" * 10, 1, golomb.MAX_ORDER + 1)


def test_exp_golomb_codec_by_hand():
    stream = ExpGolomb(k=0).encode(np.array([0, -1, 1, 0], np.int8))  # 1 010 011 1
    parts = frame.unpack(stream)
    assert parts.tables == bytes([0])
    assert parts.payload == padded("10100111")
    # ranks: 7 three times, then -2 before 5 (smaller |v|): 1 1 1 010 011
    stream = ExpGolomb(k=0, map="rank").encode(np.array([7, 7, 7, -2, 5], np.int8))
    parts = frame.unpack(stream)
    assert parts.payload == padded("111" + "010" + "011")
    # zig-zag 14, 3, 10; steps 14, -11, 7; zig-zag 28, 21, 14
    assert parts.tables == bytes([0x80, 3]) + integer_list(np.array([28, 21, 14], np.uint32))


# Maps


def test_zigzag_order():
    symbols = np.array([0, -1, 1, -2, 2, -3, 2**31 - 1, -(2**31)], np.int32)
    assert zigzag(symbols).tolist() == [0, 1, 2, 3, 4, 5, 2**32 - 2, 2**32 - 1]
    assert unzigzag(zigzag(symbols)).tolist() == symbols.tolist()


def test_rank_order():
    values = np.array([-4, -2, -1, 0, 1, 2, 9], np.int32)
    counts = np.array([1, 3, 3, 8, 3, 1, 20])
    #     most frequent first; of three with 3: -1 and 1 before -2, minus first; then 2, -4
    assert by_rank(values, counts).tolist() == [9, 0, -1, 1, -2, 2, -4]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), unique=True, max_size=50))
@settings(deadline=None, derandomize=True)
def test_rank_table_comes_back(values):
    ranked = np.array(values, np.int32)
    assert from_rank_table(rank_table(ranked)).tolist() == values


# Fixed length


def test_fixed_length_by_hand():
    assert fixed.encode(np.array([5, 0, 7], np.uint32), 3) == padded("101000111")
    assert fixed.encode(np.array([1, 2], np.uint32), 0) == b""
    parts = frame.unpack(Pack().encode(np.array([-3, 4, 0], np.int8)))
    assert parts.tables == bytes([5, 3])  # the smallest is -3, zig-zag 5; 3 bits hold 0 to 7
    assert parts.payload == padded("000" + "111" + "011")


@pytest.mark.parametrize(("span", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_fixed_length_is_the_logarithm_of_the_range(span, bits):
    codec = Pack()
    stream = codec.encode(np.arange(span, dtype=np.int32).repeat(8) - 100)
    assert codec.ledger(stream)["payload"] == span * bits


@pytest.mark.parametrize("width", range(1, 33))
def test_every_width_against_plain_python(width):
    values = [2**width - 1, 0, 2 ** (width - 1), 1, 0x12345678 % 2**width]
    coded = fixed.encode(np.array(values, np.uint32), width)
    assert coded == padded("".join(f"{value:0{width}b}" for value in values))
    assert fixed.decode(coded, len(values), width).tolist() == values


# Prefix codes


def test_textbook_huffman_lengths():
    # CLRS, section 16.3: a 45, b 13, c 12, d 16, e 9, f 5 (thousands)
    lengths = package_merge(np.array([45, 13, 12, 16, 9, 5]), 15)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    codes = [
        f"{c:0{n}b}" for c, n in zip(canonical(lengths.astype(np.int64)), lengths, strict=True)
    ]
    assert codes == ["0", "100", "101", "110", "1110", "1111"]


def test_package_merge_keeps_its_limit():
    counts = np.array([1, 1, 2, 3, 5, 8, 13, 21])  # Fibonacci: the deepest Huffman tree
    assert package_merge(counts, 15).tolist() == [7, 7, 6, 5, 4, 3, 2, 1]
    assert package_merge(counts, 4).tolist() == [4, 4, 4, 4, 3, 3, 2, 2]
    assert package_merge(counts, 3).tolist() == [3] * 8
    with pytest.raises(ValueError, match="at most 2 bits"):
        package_merge(counts, 2)


def test_ties_go_to_the_later_symbol():
    assert package_merge(np.array([1, 1, 1]), 15).tolist() == [2, 2, 1]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=7), st.integers(3, 5))
def test_package_merge_is_optimal(counts, limit):
    best = min(
        sum(c * n for c, n in zip(sorted(counts, reverse=True), lengths, strict=True))
        for lengths in itertools.combinations_with_replacement(range(1, limit + 1), len(counts))
        if sum(2.0**-n for n in lengths) == 1
    )
    lengths = package_merge(np.array(counts), limit)
    assert int((np.array(counts) * lengths).sum()) == best
    canonical(lengths.astype(np.int64))


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [2, 2, 2], [0, 1], [1, 33], [3, -1]])
def test_incomplete_codes_are_refused(lengths):
    with pytest.raises(CorruptStream):
        canonical(np.array(lengths))


@pytest.mark.parametrize("limit", [4, 12, 13, 15, 32])
def test_prefix_kernel_against_plain_python(limit):
    counts = 2 ** np.arange(min(limit, 28) + 1, dtype=np.int64)  # codewords as long as allowed
    lengths = package_merge(counts, limit)
    codes = canonical(lengths.astype(np.int64))
    indices = np.random.default_rng(3).integers(0, counts.size, 500).astype(np.int32)
    expected = "".join(f"{codes[i]:0{lengths[i]}b}" for i in indices)
    coded = prefix.encode(indices, lengths, codes, len(expected))
    assert coded == padded(expected)
    assert prefix.decode(coded, 500, lengths).tolist() == indices.tolist()


def test_prefix_kernel_refuses_foreign_indices():
    lengths = np.array([1, 1], np.uint8)
    codes = canonical(lengths.astype(np.int64))
    for index in (-1, 2):
        with pytest.raises(ValueError, match="announced"):
            prefix.encode(np.array([index], np.int32), lengths, codes, 1)


def test_huffman_codec_by_hand():
    # -1 once, 0 twice, 3 once: lengths 2, 1, 2; canonical codewords 10, 0, 11
    parts = frame.unpack(Huffman().encode(np.array([0, 3, 0, -1], np.int8)))
    assert parts.payload == padded("0" + "11" + "0" + "10")
    alphabet = bytes([3 << 1]) + integer_list(np.array([1, 0, 2], np.uint32))
    steps = integer_list(np.array([4, 1, 2], np.uint32))  # +2, -1, +1
    assert parts.tables == alphabet + steps


# Alphabets, models and tables


def test_alphabet_keeps_the_most_frequent():
    symbols = np.repeat(np.array([5, -5, 1, 0, 1_000_000], np.int32), [2, 2, 7, 9, 1])
    alphabet, counts = Alphabet.choose(histogram(symbols), limit=3)
    assert alphabet.values.tolist() == [-5, 0, 1]  # of 5 and -5, the one first in zig-zag order
    assert alphabet.escape
    assert counts.tolist() == [2, 9, 7, 3]
    assert alphabet.places(np.array([1, 5, -5], np.int32)).tolist() == [2, 3, 0]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_alphabet_table_comes_back(symbols):
    alphabet, _ = Alphabet.choose(histogram(np.array(symbols, np.int32)), limit=20)
    again = Alphabet.read(Reader(alphabet.to_bytes()))
    assert again.values.tolist() == alphabet.values.tolist()
    assert again.escape == alphabet.escape


@pytest.mark.parametrize("span", [10, 2_000_000, 2**32])
def test_histogram_and_translation_on_both_paths(span):
    symbols = np.random.default_rng(5).integers(-span // 2, span // 2, 3000).astype(np.int32)
    values, counts = np.unique(symbols, return_counts=True)
    found = histogram(symbols)
    assert found.values.tolist() == values.tolist()
    assert found.counts.tolist() == counts.tolist()
    codes = np.arange(values.size, dtype=np.int32)
    assert values[translate(symbols, values, codes, -1)].tolist() == symbols.tolist()
    assert translate(values + np.int32(1), values[:1], codes[:1], -1)[0] == -1


@pytest.mark.parametrize("n", [100, 10_000, 30_000_000])
def test_frequencies_fit_and_lose_little(n):
    counts = np.maximum(1, n * 0.7 ** np.arange(40) * 0.3).astype(np.int64)
    frequencies = quantise(counts)
    assert frequencies.min() >= 1
    assert frequencies.sum() <= MAX_TOTAL
    exact = -(counts * np.log2(counts / counts.sum())).sum()
    assert ideal_bits(counts, frequencies) < exact * 1.02 + 8


def test_frequencies_of_a_full_alphabet():
    frequencies = quantise(np.full(4097, 10**9))
    assert len(set(frequencies.tolist())) == 1
    assert frequencies.sum() <= MAX_TOTAL


def test_reader_refuses_the_end():
    reader = Reader(b"\x05\x81")
    assert reader.byte() == 5
    with pytest.raises(CorruptStream, match="1 bytes too many"):
        reader.end()
    with pytest.raises(CorruptStream, match="cut off"):
        reader.varint(1000)
    assert reader.byte() == 0x81
    with pytest.raises(CorruptStream, match="cut off"):
        reader.byte()
    with pytest.raises(CorruptStream, match="over its limit of 4"):
        Reader(b"\x05").varint(4)
