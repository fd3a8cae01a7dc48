"""Streams and files with a base that look right and are not, for a campaign to throw."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.bench.checkpoint import convert, encoder, plain_header
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.codecs.delta import Delta
from slashbench.codecs.families.delta_codec import hash_of
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream, OtherBase
from tests.helpers import file_mutator
from tests.helpers import stream_mutator as streams
from tests.helpers.stream_mutator import Stream

of = Stream.of


def pairs() -> list[tuple[Any, Any]]:
    """(new, base): one for each form of a chunk, some of them long enough for every path."""
    rng = np.random.default_rng(0)
    found = []
    for dtype in (np.float32, ml_dtypes.bfloat16, np.float16, np.float64):
        base = rng.normal(size=1500).astype(np.float32)
        found += [
            ((base + rng.normal(size=1500) * step).astype(dtype), base.astype(dtype))
            for step in (1e-4, 1e-2)
        ]
    new, base = found[0]
    found.append((np.where(np.abs(base) < 0.5, np.float32(0), base), base))
    rows = np.where(np.arange(20)[:, None] % 5 == 0, new[:1280].reshape(20, 64), 0)
    found.append(
        (np.where(rows == 0, base[:1280].reshape(20, 64), rows), base[:1280].reshape(20, 64))
    )
    large = rng.normal(size=1 << 17).astype(ml_dtypes.bfloat16)  # sparse
    few = np.where(rng.random(large.size) < 0.02, large * ml_dtypes.bfloat16(1.01), large)
    found.append((few.astype(large.dtype), large))
    found.append((streams.bell(900).astype(np.int8), streams.bell(900, 1).astype(np.int8)))
    found.append((base, base))
    scaled = next(streams.group_scales())
    found.append((scaled, scaled + np.float32(0.001)))
    return found


class _Given:
    """`delta`, which is given the base that a stream names, of those that there are."""

    def __init__(self, coder: str, bases: list[Any]) -> None:
        self._codec = Delta(coder=coder)
        self._bases = {hash_of(b.reshape(-1).view(np.uint8)): b for b in bases}

    def _of(self, data: Any) -> Any:
        parts = frame.unpack(data)
        base = self._bases.get(parts.tables)
        return self._codec if base is None else self._codec.given(base)

    def decode(self, data: Any) -> Any:
        with _as_corrupt():
            return self._of(data).decode(data)

    def decode_chunk(self, data: Any, index: int) -> Any:
        with _as_corrupt():
            return self._of(data).decode_chunk(data, index)


@contextlib.contextmanager
def _as_corrupt() -> Any:
    try:
        yield
    except OtherBase as error:
        raise CorruptStream(str(error)) from error


class DeltaStreams:
    """The streams of `delta`, each with its base."""

    limit = 4 << 20

    def __init__(self) -> None:
        found = pairs()
        self._codecs = {c: _Given(c, [base for _, base in found]) for c in ("", "float-rans")}
        self._originals = [
            (coder, of(Delta(coder=coder).given(base).encode(new)))
            for coder in self._codecs
            for new, base in found
        ]

    def warm_up(self) -> None:
        """Compile, import: every original must decode."""
        frame.decode_limit.set(self.limit)
        for coder, stream in self._originals:
            self._codecs[coder].decode(stream.framed())

    def mutant(self, rng: np.random.Generator) -> bytes:
        """Bend what follows the checksum of a chunk, mostly; the first byte names the coder."""
        place, other = (int(i) for i in rng.integers(0, len(self._originals), 2))
        coder, stream = self._originals[place]
        if rng.random() < 0.85 and stream.chunks:
            chunk = stream.chunks[0]
            stream = replace(stream, chunks=[chunk[:5] + streams.bent(rng, chunk[5:])])
            if rng.random() < 0.1:
                form = bytes([int(rng.integers(0, 7))])
                stream = replace(stream, chunks=[chunk[:4] + form + chunk[5:]])
        else:
            stream = streams.bent_once(rng, stream, self._originals[other][1])
        return bytes([list(self._codecs).index(coder)]) + stream.framed()

    def judge(self, data: bytes) -> bool:
        """True for a tensor, False for a refusal; whatever else is a finding."""
        return streams.decode_twice(list(self._codecs.values())[data[0] % 2], data[1:])


class DeltaFiles(file_mutator.Files):
    """Compressed checkpoints with a base."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        old = {
            "w": rng.normal(size=(20, 20)).astype(np.float32),
            "b": rng.normal(size=600).astype(ml_dtypes.bfloat16),
            "same": rng.normal(size=200).astype(np.float32),
            "i": np.arange(100),
        }
        new = {f"m.{name}": tensor.copy() for name, tensor in old.items()}
        new["m.w"] += np.float32(1e-4)
        new["m.b"][::9] *= ml_dtypes.bfloat16(1.5)
        new["m.i"][5] = 0
        new["alone"] = rng.normal(size=200).astype(np.float32)
        made = _source(old)
        self._base = Base(made.header.tensors, made.read, name="old")
        usual = encoder.SEGMENT, encoder.SMALL
        encoder.SEGMENT, encoder.SMALL = 900, 100
        file = io.BytesIO()
        try:
            convert.compress(file, _source(new), Coding.of_delta(None, self._base))
        finally:
            encoder.SEGMENT, encoder.SMALL = usual
        self._originals = [file_mutator.Parts.of(file.getvalue())]
        self._built = [parts.built() for parts in self._originals]


def _source(tensors: dict[str, Any]) -> Source:
    kinds = {n: (plain_header.NAMES[a.dtype], a.shape) for n, a in tensors.items()}
    return Source(
        plain_header.compose(kinds, {}), lambda name: tensors[name].reshape(-1).view(np.uint8)
    )
