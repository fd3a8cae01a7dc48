"""Codecs with a base: what they give back, whom they refuse, and what a difference costs."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slashbench import parallel
from slashbench.codecs.base import WholeDeltaCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.codecs.delta import Delta
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream, OtherBase, Unencodable
from tests.helpers import delta_mutator

Array = npt.NDArray[Any]

GOLDEN = Path(__file__).parents[1] / "golden"
MADE = runpy.run_path(str(GOLDEN / "make_deltas.py"))
PAIRS = MADE["PAIRS"]
NAMES = DELTAS.available()

every_codec = pytest.mark.parametrize("name", NAMES)
every_pair = pytest.mark.parametrize("pair", PAIRS)


@every_pair
@every_codec
def test_a_tensor_comes_back(name: str, pair: str) -> None:
    new, base = PAIRS[pair]
    codec = DELTAS.get(name)().given(base)
    if new.size and (
        frame.domain_of(new.dtype) not in codec.domains
        or (new.itemsize == 8 and name in ("bigsmall-delta", "lmzip-delta"))
    ):
        with pytest.raises(Unencodable):
            codec.encode(new)
        return
    decoded = codec.decode(codec.encode(new))
    assert decoded.dtype == new.dtype
    assert decoded.shape == new.shape
    assert decoded.tobytes() == new.tobytes()


@pytest.mark.parametrize("coder", ["float-rans", "zstd", "rans", "sparse", "pcodec"])
def test_on_top_of_any_coder(coder: str) -> None:
    pytest.importorskip("pcodec")
    new, base = PAIRS["bfloat16"]
    codec = Delta(coder=coder).given(base)
    assert codec.decode(codec.encode(new)).tobytes() == new.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bits_come_back(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "u2", "u4", "u8"])))
    count = data.draw(st.integers(0, 300))
    words = hnp.arrays(dtype, count, elements=hnp.from_dtype(dtype), fill=st.just(7))
    floats = {2: ml_dtypes.bfloat16, 4: np.float32, 8: np.float64}.get(dtype.itemsize, np.uint8)
    new, base = (data.draw(words).view(floats) for _ in range(2))
    codec = Delta().given(base)
    assert codec.decode(codec.encode(new)).tobytes() == new.tobytes()


@every_codec
def test_another_base_is_refused_and_so_is_none(name: str) -> None:
    new, base = PAIRS["float32"]
    codec = DELTAS.get(name)()
    stream = codec.given(base).encode(new)
    with pytest.raises(OtherBase, match="another"):
        codec.given(new).decode(stream)
    with pytest.raises(OtherBase, match="none was given"):
        codec.decode(stream)
    with pytest.raises(Unencodable, match="needs a base"):
        codec.encode(new)
    with pytest.raises(Unencodable, match="no difference"):
        codec.given(base[:-1]).encode(new)


def test_a_codec_with_a_base_must_say_how_it_compresses() -> None:
    class Half(WholeDeltaCodec):
        codec_id = "half"

        def compress(self, flat: Array, base: Array) -> bytes:
            return flat.tobytes()

    with pytest.raises(TypeError, match="decompress"):
        Half()  # type: ignore[abstract]


@pytest.mark.parametrize("declared", [0, 1 << 20, 1 << 50])
def test_a_frame_of_another_size_is_not_opened(declared: int) -> None:
    pytest.importorskip("zstandard")
    head = b"\x28\xb5\x2f\xfd\xe0" + declared.to_bytes(8, "little")  # RFC 8878, 3.1.1.1
    codec = DELTAS.get("zstd-patch")
    forger = type("Forger", (codec,), {"compress": lambda *_: head + b"\1\0\0"})
    base = np.arange(16, dtype=np.int32)
    with pytest.raises(CorruptStream, match=f"declares {declared} bytes, not 64"):
        codec().given(base).decode(forger().given(base).encode(base + 1))


def test_a_library_that_prints_leaves_the_output_where_it_was() -> None:
    pytest.importorskip("bigsmall")
    base = np.arange(64, dtype=np.float32)
    codec = DELTAS.get("bigsmall-delta")().given(base)
    before = sys.stdout, sys.stderr
    parallel.each(lambda _: codec.encode(base + 1), range(16), 8)
    assert (sys.stdout, sys.stderr) == before


def test_what_was_rebuilt_is_checked() -> None:
    """A chunk that decodes, but not to what was coded."""
    new, base = PAIRS["float32"]
    stream = delta_mutator.of(Delta().given(base).encode(new))
    chunk = bytearray(stream.chunks[0])
    chunk[0] ^= 1  # of the checksum of the values
    stream.chunks[0] = bytes(chunk)
    with pytest.raises(CorruptStream, match="rebuilt"):
        Delta().given(base).decode(stream.framed())


def test_blocks_left_out_of_a_tensor_without_one() -> None:
    """The campaign's first finding: a division by zero."""
    new, base = PAIRS["special"]
    stream = delta_mutator.of(Delta().given(base).encode(new))
    chunk = stream.chunks[0]
    stream.chunks[0] = chunk[:4] + bytes([4, 1, 1, 0, 0]) + chunk[9:]
    with pytest.raises(CorruptStream, match="none to leave out"):
        Delta().given(base).decode(stream.framed())


def test_a_change_costs_what_it_says() -> None:
    """One value in a hundred moved by one unit in the last place: about 0.08 + 0.01 bits each."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=200_000).astype(ml_dtypes.bfloat16)
    words = base.view(np.uint16).copy()
    moved = rng.random(words.size) < 0.01
    words[moved] += rng.integers(0, 2, moved.sum(), dtype=np.uint16) * np.uint16(2) - np.uint16(1)
    stream = Delta().given(base).encode(words.view(base.dtype))
    assert 8 * len(stream) / words.size < 0.1


def test_the_exponent_of_the_base_is_made_use_of() -> None:
    """Steps of one size, whatever the weight: smaller than what any coder makes of the bits."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=100_000).astype(np.float32) * np.float32(0.05)
    new = (base + rng.normal(size=base.size).astype(np.float32) * np.float32(1e-3)).astype("f4")
    sizes = {coder: len(Delta(coder=coder).given(base).encode(new)) for coder in ("", "float-rans")}
    assert (
        sizes[""] < 0.98 * sizes["float-rans"] < 0.98 * len(CODECS.get("float-rans")().encode(new))
    )


def test_rows_that_did_not_move_cost_next_to_nothing() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=(500, 256)).astype(np.float32)
    new = base.copy()
    new[::50] *= np.float32(1.01)
    assert len(Delta().given(base).encode(new)) < 4 * new[::50].size


@pytest.mark.parametrize("name", MADE["CASES"])
def test_golden_streams(name: str) -> None:
    settings_, pair = MADE["CASES"][name]
    new, base = PAIRS[pair]
    stream = (GOLDEN / "deltas" / f"{name}.bin").read_bytes()
    codec = Delta(**settings_).given(base)
    assert codec.decode(stream).tobytes() == new.tobytes()
    assert codec.encode(new) == stream, "the bytes changed: raise the revision, add a case"


def test_hostile_streams() -> None:
    """A few of the campaign's (tests/fuzz): our error, or what was declared."""
    target = delta_mutator.DeltaStreams()
    token = frame.decode_limit.set(target.limit)
    try:
        target.warm_up()
        for index in range(150):
            target.judge(target.mutant(np.random.default_rng(index)))
    finally:
        frame.decode_limit.reset(token)
