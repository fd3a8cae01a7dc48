"""How fast codecs are, side by side in one process.

Codecs are interleaved: each encodes and decodes all tensors once, then the next does, so that a
machine that slows down slows them all. Histogram, parameter search, tables, headers, checksums and
allocation are included, from memory that the process holds; files are not. Threads share out the
tensors, the same way for every codec, each on a core of its own.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench import parallel, selector
from slashbench.bench.machine import heap, locks, provenance
from slashbench.bench.speed.samples import Sample
from slashbench.codecs.base import Bound, DeltaCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.errors import MissingDependency, SlashbenchError, UsageError
from slashbench.link import Link, entries
from slashbench.record import Samples, Speed
from slashbench.registry import Registry

#: Compared unless the user says otherwise: one of each kind, of ours and of others.
DEFAULT_CODECS = ("pack", "exp-golomb", "huffman", "rans", "rans-ggd", "rans-classes", "sparse",
         "float-huffman", "float-rans",
         "zipnn", "openzl-huffman", "openzl-fse", "pcodec", "ans", "deepcabac", "zstd:level=1",
         "blosc2")  # fmt: skip
#: Beside every codec with a base: what can be done without one.
WITHOUT_BASE = ("float-rans", "zipnn")
MEMCPY = "memcpy"

_LEAST = 3  # rounds of a codec, however slow it is
_BUDGET_S = 30.0  # after which a codec has had enough rounds

Progress = Callable[[str, float], None]


def contestants(
    text: str | None, *, deltas: bool = False
) -> tuple[list[Link[Any]], dict[str, str]]:
    """(configured codecs of a list, None for the usual ones; what is left out, and why).

    deltas: whether there are bases; the usual ones then are all that take one, and few others.

    Raises UsageError (and its kinds).
    """
    left_out: dict[str, str] = {}
    found: list[Link[Any]] = []
    if text is None:
        usual = (*DELTAS.names(), *WITHOUT_BASE) if deltas else DEFAULT_CODECS
        for name in usual:
            try:
                found += entries(_registry(name), name, left_out)
            except MissingDependency as error:
                left_out[f"codec {name}"] = str(error)
    else:
        for spelled in selector.split_list(text):
            found += entries(_registry(spelled), spelled, left_out)
    codecs = {link.text: link for link in found if not isinstance(link.item, Bound)}
    return list(codecs.values()), left_out


def _registry(spelled: str) -> Registry[Any]:
    return DELTAS if spelled.partition(":")[0] in DELTAS.names() else CODECS


def run(
    samples: Iterable[Sample],
    codecs: Sequence[Link[Any]],
    repeats: int,
    threads: Sequence[int],
    progress: Progress,
    failed: dict[str, str],
) -> Iterator[list[Speed]]:
    """Time every codec on each sample, under each number of threads: a list for each of them.

    A codec that raises an error, or does not give back a sample, is left out of its races; `failed`
    takes the reason. Raises UsageError for a sample that none of the codecs takes.
    """
    if repeats < 1 or min(threads) < 1:
        raise UsageError("repeats and threads must be at least 1")
    heap.keep()
    for sample in samples:
        taking = [
            link
            for link in codecs
            if sample.domain in link.item.domains
            and (sample.bases is not None or not isinstance(link.item, DeltaCodec))
        ]
        if not taking:
            raise UsageError(f"none of the codecs takes {sample.name}, which are {sample.domain}")
        racing = [_CodecContestant(MEMCPY, _Copy(), sample)]
        for at, link in enumerate(taking):
            progress(f"{sample.name}: {link.text} there and back", at / len(taking))
            try:
                racing.append(_CodecContestant(link.text, link.item, sample))
            except Exception as error:  # a plug-in may raise anything
                failed[f"{link.text} on {sample.name}"] = said(error)
        for number in threads:
            yield _race(sample, racing, number, repeats, progress, failed)


def numbers_of_threads(text: str) -> tuple[int, ...]:
    """`1,all` -> (1, as many as this process may run at once). Raises UsageError."""
    try:
        found = [
            len(parallel.cores()) if item == "all" else int(item)
            for item in selector.split_list(text)
        ]
    except ValueError:
        raise UsageError(f"threads {text!r} are not of the form 1,2,all") from None
    return tuple(dict.fromkeys(found))


def said(error: Exception) -> str:
    """Return what an error says, with its kind where it is none of ours."""
    return str(error) if isinstance(error, SlashbenchError) else f"{type(error).__name__}: {error}"


class _Copy:
    """The yardstick: what any codec must at least do."""

    def encode(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.copy()

    decode = encode


class _CodecContestant:
    """A codec, what it encodes and decodes, and what each round took.

    Tensors and streams come with the base that the codec is given, None for one that takes none.
    To be given it, and to hash it, counts.
    """

    def __init__(self, name: str, codec: Any, sample: Sample) -> None:
        self.name, self._codec = name, codec
        bases = sample.bases
        if bases is None or not isinstance(codec, DeltaCodec):
            bases = [None] * len(sample.tensors)  # type: ignore[list-item]
        self.tensors = list(zip(sample.tensors, bases, strict=True))
        self.streams = [(self.encode(each), each[1]) for each in self.tensors]
        for (tensor, _), stream in zip(self.tensors, self.streams, strict=True):
            decoded = self.decode(stream)
            if decoded.shape != tensor.shape or decoded.tobytes() != tensor.tobytes():
                raise SlashbenchError(f"the round trip of {sample.name} failed: a bug of the codec")

    @property
    def stream_bytes(self) -> int:
        """Bytes of all streams."""
        return sum(s.nbytes if isinstance(s, np.ndarray) else len(s) for s, _ in self.streams)

    def encode(self, item: tuple[Any, Any]) -> Any:
        """Encode a tensor, with its base."""
        tensor, base = item
        return (self._codec if base is None else self._codec.given(base)).encode(tensor)

    def decode(self, item: tuple[Any, Any]) -> Any:
        """Decode a stream, with its base."""
        stream, base = item
        return (self._codec if base is None else self._codec.given(base)).decode(stream)


def _race(
    sample: Sample,
    racing: Sequence[_CodecContestant],
    threads: int,
    repeats: int,
    progress: Progress,
    failed: dict[str, str],
) -> list[Speed]:
    racing = list(racing)
    encode: dict[str, list[tuple[int, int]]] = {c.name: [] for c in racing}
    decode: dict[str, list[tuple[int, int]]] = {c.name: [] for c in racing}
    shares = _shares([tensor.size for tensor in sample.tensors], threads)
    with locks.alone(), _pool(threads) as pool:
        for turn in range(repeats):
            for at, one in enumerate(tuple(racing)):
                spent = sum(wall for wall, _ in encode[one.name] + decode[one.name])
                if turn >= _LEAST and spent > _BUDGET_S * 1e9:
                    continue
                done = (turn + at / len(racing)) / repeats
                progress(f"{sample.name}, {threads} threads: {one.name}", done)
                tensors = [[one.tensors[i] for i in share] for share in shares]
                streams = [[one.streams[i] for i in share] for share in shares]
                try:
                    encode[one.name].append(_timed(pool, one.encode, tensors))
                    decode[one.name].append(_timed(pool, one.decode, streams))
                except Exception as error:  # one that can't be used by several threads, say
                    failed[f"{one.name} on {sample.name}, {threads} threads"] = said(error)
                    racing.remove(one)
    return [
        Speed(
            codec=one.name,
            data=sample.name,
            threads=threads,
            machine=provenance.machine(),
            n_values=sample.n_values,
            native_bytes=sample.native_bytes,
            stream_bytes=one.stream_bytes,
            bound_bits=sample.bound_bits,
            encode=_samples(encode[one.name]),
            decode=_samples(decode[one.name]),
        )
        for one in racing
    ]


@contextmanager
def _pool(threads: int) -> Iterator[Executor | None]:
    if threads == 1:
        yield None
        return
    cores = itertools.cycle(parallel.cores())
    with ThreadPoolExecutor(threads, initializer=lambda: _stay_on(next(cores))) as pool:
        list(pool.map(time.sleep, [0.01] * threads))  # its threads are there before the clock is
        yield pool


def _stay_on(core: int) -> None:
    """Keep this thread on a core of its own: left alone, two that wake each other share one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})  # 0 is the calling thread


def _timed(
    pool: Executor | None, operation: Callable[[Any], object], shares: Sequence[Sequence[Any]]
) -> tuple[int, int]:
    """(wall, CPU) nanoseconds of the operation on each item; a thread takes one share."""

    def work(items: Sequence[Any]) -> None:
        for item in items:
            operation(item)  # what it returns is dropped at once

    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for _ in map(work, shares) if pool is None else pool.map(work, shares):
        pass
    return time.perf_counter_ns() - wall, time.process_time_ns() - cpu


def _shares(sizes: Sequence[int], threads: int) -> list[list[int]]:
    """Share out tensors among threads, the largest first: about as many values for each."""
    shares: list[list[int]] = [[] for _ in range(threads)]
    loads = [0] * threads
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += sizes[index]
    return shares


def _samples(times: Sequence[tuple[int, int]]) -> Samples:
    wall, cpu = np.array(times).T.tolist()
    return Samples(wall_ns=wall, cpu_ns=cpu, warmup=1)
