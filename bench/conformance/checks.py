"""What every codec must do, as checks that anybody can run on a codec of their own.

From the shell, `bench test-codec NAME`; from pytest:

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_my_codec(check):
        check(MyCodec)

A check takes whatever makes the codec when called, its class or a function. It raises NotConformant
with the smallest input that fails, or Inapplicable, which pytest counts as a skip; it returns a
remark, mostly empty.

A codec that names its `domains`, as ours do, must give back dtype and shape from any layout in
memory. Other numcodecs codecs must give back the bytes, and may refuse what they don't take. What
rests on our stream format (checksums, limits) is asked of subclasses of `TensorCodec` only.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numcodecs
import numpy as np
from numcodecs.compat import ensure_bytes

from slashbench import selector
from slashbench.bench.conformance import specimens
from slashbench.bench.conformance.isolated_decode import (
    TIMEOUT_S,
    decode_apart,
    not_importable,
    summary,
    verdicts,
)
from slashbench.bench.conformance.specimens import DTYPES, Specimen
from slashbench.bench.conformance.subject import (
    Factory,
    Inapplicable,
    Refused,
    Subject,
    failure,
    spell,
)
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray
from slashbench.errors import CorruptStream, NotConformant, Unencodable

#: Most that incompressible data may grow, unless the codec's own `max_expansion` says more.
MAX_EXPANSION = 1.25
SLACK = 4096  # bytes, for tables and headers

MOST_DAMAGED = 400  # streams

_UNUSUAL = ("int64", "uint64", "bool", "complex64", "S4", "datetime64[s]", "longdouble", "O")


@dataclass(frozen=True)
class CodecCheck:
    """One thing that a codec must do."""

    name: str
    promise: str  # what it means, in a line
    _run: Callable[[Subject], str | None]

    def __call__(self, make: Factory) -> str:
        """Check the codec that `make` makes."""
        return self._run(Subject(make)) or ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class CheckOutcome:
    """What came of one check."""

    check: str
    promise: str
    status: str  # "pass", "fail" or "skip"
    detail: str  # remark, failure or reason
    seconds: float


def run(make: Factory, checks: Sequence[CodecCheck] | None = None) -> Iterator[CheckOutcome]:
    """Run every check, whatever comes of those before. Raises UsageError for what is no codec."""
    Subject(make)
    for check in CHECKS if checks is None else checks:
        started = time.perf_counter()
        try:
            status, detail = "pass", check(make)
        except Inapplicable as reason:
            status, detail = "skip", str(reason)
        except NotConformant as failure:
            status, detail = "fail", str(failure)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a codec may raise anything; the other checks still run
            status, detail = "fail", f"{spell(error)}, where no error was expected"
        yield CheckOutcome(check.name, check.promise, status, detail, time.perf_counter() - started)


# Coming back


def _values(subject: Subject) -> str:
    return subject.round_trip(specimens.of_values(subject.dtypes))


def _shapes(subject: Subject) -> str:
    return subject.round_trip(specimens.of_shapes(subject.dtypes))


def _layouts(subject: Subject) -> str:
    return subject.round_trip(specimens.of_layouts(subject.dtypes))


def _memory_order(subject: Subject) -> str:
    """A consumer such as Zarr takes the bytes of what `decode` returns, not its values by index."""
    taken = refused = 0
    for specimen in specimens.of_orders(subject.dtypes):
        array = specimen.array()
        try:
            stream = subject.codec.encode(array)
        except Exception:  # of whatever kind: the user is told, and nothing is written
            refused += 1
            continue
        taken += 1
        into = np.empty(array.nbytes, np.uint8)
        subject.decode(stream, specimen, into)
        for what, given in [
            ("decode", subject.decode(stream, specimen)),
            ("decode into a flat buffer", into),
        ]:
            if bytes(ensure_bytes(given)) != array.tobytes("A"):
                raise failure(
                    f"the array's buffer, in its memory order and byte order, from {what}; or "
                    "that encode refuses the array",
                    "other bytes: Zarr would read other numbers",
                    specimen,
                )
    return f"{taken} inputs" + (f", {refused} refused" if refused else "")


def _large(subject: Subject) -> str:
    return subject.round_trip(specimens.large(subject.dtypes))


def _decode_into(subject: Subject) -> None:
    for specimen, stream in subject.streams(["bell", "constant"], (3, 4)):
        array = specimen.array()
        outs = {"a C array": np.empty_like(array)}
        if subject.described:
            outs |= {
                "a Fortran array": np.empty_like(array, order="F"),
                "a strided array": np.empty((6, 8), array.dtype)[::2, ::2],
                "a flat buffer of bytes, as Zarr gives": np.empty(array.nbytes, np.uint8),
            }
            with contextlib.suppress(TypeError):  # bfloat16 has one byte order
                outs["a big-endian array"] = np.empty((3, 4), array.dtype.newbyteorder(">"))
        for what, out in outs.items():
            given = subject.decode(stream, specimen, out)
            filled = out.astype(out.dtype.newbyteorder("="), copy=False)
            if filled.tobytes() != array.tobytes():
                raise failure(f"the tensor in {what} given as `out`", "other values", specimen)
            if subject.described and given is not out:
                raise failure(f"{what} given as `out` to be returned", "another array", specimen)


def _buffers(subject: Subject) -> None:
    kinds: dict[str, Callable[[bytes], Any]] = {
        "bytearray": bytearray,
        "memoryview": memoryview,
        "array of uint8": lambda data: np.frombuffer(data, np.uint8),
    }
    for specimen, stream in subject.streams(["bell"], (50,)):
        for what, kind in kinds.items():
            decoded = subject.decode(kind(stream), specimen)
            if wrong := subject.difference(decoded, specimen.array()):
                raise failure(f"the tensor from a stream in a {what}", wrong, specimen)


# Being configured


def _configuration(subject: Subject) -> str:
    codec, cls = subject.codec, type(subject.codec)
    config = codec.get_config()
    try:
        again_config = json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise NotConformant(f"expected get_config() that JSON holds; got {spell(error)}") from None
    if again_config != config or config.get("id") != codec.codec_id:
        raise NotConformant(
            f"expected get_config() that JSON gives back, with id {codec.codec_id!r}; "
            f"got {config!r}, and {again_config!r} from JSON"
        )
    if unsaid := sorted(_settings(cls) - set(config)):
        raise NotConformant(
            f"expected every setting in get_config(); {', '.join(unsaid)} is not in {config!r}: "
            "keep it in a public attribute of the same name"
        )
    settings = {key: value for key, value in again_config.items() if key != "id"}
    copies = [cls.from_config(settings)]
    remark = ""
    try:
        copies.append(numcodecs.get_codec(dict(again_config)))
    except ValueError:  # UnknownCodecError is one
        remark = (
            "not registered with numcodecs: an entry point of group numcodecs.codecs lets Zarr "
            "find it"
        )
    for copy in copies:
        if type(copy) is not cls or copy != codec:
            raise NotConformant(f"expected {codec!r} from its configuration; got {copy!r}")
        for specimen, stream in subject.streams(["bell", "sparse", "constant"], (999,)):
            if subject.encode(specimen, copy) != stream:
                raise failure(
                    "the same bytes from a codec made from get_config()", "others", specimen
                )
    return remark


def _settings(cls: type) -> set[str]:
    """Names of the constructor's keywords, as far as Python can tell."""
    try:
        return {setting.name for setting in selector.settings_of(cls)} - {"args"}
    except (TypeError, ValueError, NameError):  # compiled, or with annotations that can't be read
        return set()


def _self_contained(subject: Subject) -> str:
    if not subject.described:
        raise Inapplicable("asked of codecs that name their domains")
    try:
        default = type(subject.codec)()
    except TypeError as error:
        raise Inapplicable(f"its settings have no defaults: {error}") from error
    for specimen, stream in subject.streams(["bell", "sparse", "noise"], (999,)):
        subject.compare(subject.decode(stream, specimen, codec=default), specimen)
    return ""


# Being a function, without memory


def _deterministic(subject: Subject) -> None:
    other = subject.make()
    kinds = [kind for kind in specimens.KINDS if kind != "special"]
    encoded = subject.streams(kinds, (40, 50))
    for specimen, stream in reversed(encoded):
        for what, codec in [("a second time", subject.codec), ("by another instance", other)]:
            if subject.encode(specimen, codec) != stream:
                raise failure(f"the same bytes {what}", "others", specimen)
        if subject.framed:
            array = np.asfortranarray(specimen.array())
            if b"".join(subject.codec.pieces(array)) != stream:
                raise failure("the same pieces for the array in Fortran order", "others", specimen)


def _leaves_input_alone(subject: Subject) -> None:
    for kind in ("bell", "constant", "noise", "heavy tails"):
        for shape in ((0,), (7, 9)):
            specimen = Specimen(subject.dtype, kind, shape)
            for frozen in (False, True):
                array = specimen.array()
                array.flags.writeable = not frozen
                try:
                    stream = bytearray(ensure_bytes(subject.codec.encode(array)))
                except Exception as error:
                    if frozen and subject.described:
                        came = f"encode raised {spell(error)}"
                        raise failure("a read-only array encoded", came, specimen) from error
                    continue
                if array.tobytes() != specimen.array().tobytes():
                    raise failure("encode to leave its input alone", "other values in it", specimen)
                kept = bytes(stream)
                decoded = subject.decode(stream, specimen)
                if stream != kept:
                    raise failure("decode to leave its input alone", "other bytes in it", specimen)
                if subject.described and not decoded.flags.writeable:
                    raise failure("an array of its own from decode", "a read-only one", specimen)


def _threads(subject: Subject) -> None:
    alone = [
        encoded
        for n in (1000, 1500, 2000, 2500)
        for encoded in subject.streams(["bell", "sparse", "noise"], (n,))
    ]
    start = threading.Barrier(4)

    def work(turn: int) -> None:
        start.wait(TIMEOUT_S)
        for specimen, stream in alone[3 * turn :] + alone[: 3 * turn]:
            if subject.encode(specimen) != stream:
                raise failure(
                    "the same bytes from a codec that 4 threads share", "others", specimen
                )
            wrong = subject.difference(subject.decode(stream, specimen), specimen.array())
            if wrong:
                raise failure("the tensor from a codec that 4 threads share", wrong, specimen)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(work, range(4)):
                pass
    finally:
        sys.setswitchinterval(interval)


# Sizes


def _expansion(subject: Subject) -> str:
    allowed = float(getattr(subject.codec, "max_expansion", MAX_EXPANSION))
    worst, where = 0.0, ""
    for dtype in subject.dtypes:
        for n in (0, 1, 100, 1 << 16):
            specimen = Specimen(dtype, "noise", (n,))
            raw = n * specimen.array().itemsize
            try:
                size = len(subject.encode(specimen))
            except Refused:
                continue
            if size > allowed * raw + SLACK:
                raise failure(
                    f"at most {allowed:g} x {raw} + {SLACK} bytes of noise (a codec that needs "
                    "more says so: `max_expansion`)",
                    f"{size}, {size / max(1, raw):.2f} x",
                    specimen,
                )
            if raw > 16 * SLACK - 1 and size / raw > worst:
                worst, where = size / raw, dtype
    return f"noise grows to {worst:.3f} x at most, {where}" if where else ""


def _ledger(subject: Subject) -> None:
    if not hasattr(subject.codec, "ledger"):
        raise Inapplicable("it keeps no ledger")
    for shape in ((0,), (1,), (5, 7), (3000,)):
        for specimen, stream in subject.streams(["bell", "constant", "noise"], shape):
            ledger = subject.codec.ledger(stream)
            if sum(ledger.values()) != len(stream) or min(ledger.values()) < 0:
                raise failure(f"a ledger that sums to {len(stream)}", f"{ledger}", specimen)


# Elsewhere, damaged, forged


def _fresh_process(subject: Subject) -> None:
    encoded = subject.streams(["bell", "constant", "noise"], (30, 40))
    if reason := not_importable(subject):
        raise Inapplicable(reason)
    for (specimen, stream), verdict in zip(
        encoded, decode_apart(subject, [stream for _, stream in encoded]), strict=True
    ):
        wanted = summary(subject.decode(stream, specimen))
        if verdict.refusal:
            raise failure("the tensor in a fresh process", verdict.refusal, specimen)
        if verdict.summary != wanted:
            raise failure(f"{wanted} in a fresh process", verdict.summary, specimen)


def _damage(subject: Subject) -> str:
    specimen, stream = subject.streams(["bell"], (200,))[0]
    rng = np.random.default_rng(0)
    places = np.arange(8 * len(stream))
    if places.size > MOST_DAMAGED:
        head = places[:256]  # the header's bits, and some of the others
        places = np.unique(np.append(head, rng.choice(places, MOST_DAMAGED - head.size, False)))
    damaged = []
    for place in places.tolist():
        flipped = bytearray(stream)
        flipped[place // 8] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    return _refuses(
        subject, specimen, damaged, [f"bit {place} of its stream flipped" for place in places]
    )


def _truncation(subject: Subject) -> str:
    specimen, stream = subject.streams(["bell"], (200,))[0]
    sizes = sorted(set(np.linspace(0, len(stream) - 1, 100).astype(int).tolist()))
    cut = [stream[:size] for size in sizes] + [stream + b"\0"]
    said = [f"its stream cut to {size} of {len(stream)} bytes" for size in sizes]
    return _refuses(subject, specimen, cut, [*said, "a zero byte after its stream"])


def _refuses(
    subject: Subject, specimen: Specimen, streams: list[bytes], what: Sequence[str]
) -> str:
    """Decode each: an error is right, CorruptStream for a codec of ours; the rest is remarked."""
    intact = summary(subject.decode(subject.encode(specimen), specimen))
    unnoticed = []
    for verdict, damage in zip(verdicts(subject, streams), what, strict=True):
        if verdict.fatal:
            raise failure("an error", verdict.refusal, specimen, f", with {damage}")
        if subject.framed and not verdict.corrupt:
            came = verdict.refusal or f"{verdict.summary} and no error"
            raise failure("CorruptStream", came, specimen, f", with {damage}")
        if not verdict.refusal and verdict.summary != intact:
            unnoticed.append(damage)
    if not unnoticed:
        return f"{len(streams)} streams"
    return (
        f"warning: it has no checksum; {len(unnoticed)} of {len(streams)} damaged streams decode "
        f"to other values, the first with {unnoticed[0]}"
    )


def _refusals(subject: Subject) -> None:
    known = {dtype for dtypes in DTYPES.values() for dtype in dtypes}
    strange = {dtype: f"np.ones(3, {dtype!r})" for dtype in _UNUSUAL} | {
        dtype: f"{Specimen(dtype, 'bell', (3,))!r}.array()"
        for dtype in sorted(known.difference(subject.dtypes))
    }
    for dtype, made_by in strange.items():
        array = np.ones(3, dtype) if dtype in _UNUSUAL else Specimen(dtype, "bell", (3,)).array()
        try:
            decoded = subject.codec.decode(subject.codec.encode(array))
        except Unencodable:
            continue
        except Exception as error:
            if not subject.described:
                continue
            came = spell(error)
        else:
            came = subject.difference(decoded, array)
        if came:
            raise NotConformant(
                f"expected {dtype} to be refused with slashbench.errors.Unencodable, or to come "
                f"back; got {came}. To see it again: array = {made_by}"
            )


def _bounded(subject: Subject) -> str:
    if not subject.framed:
        raise Inapplicable("asked of our stream format only: subclasses of TensorCodec")
    specimen, stream = subject.streams(["sparse"], (100, 100))[0]
    size = specimen.array().nbytes
    parts = frame.unpack(stream)
    payload = b"".join(parts.payload(i).tobytes() for i in range(parts.chunks))
    huge = CodedArray(parts.tables, [(payload,)], 1 << 40)
    forged = frame.pack(parts.dtype, (1 << 40,), huge)
    for what, limit, data in [
        ("a stream that declares one byte more than frame.decode_limit", size - 1, stream),
        ("a forged stream that declares 2^40 values", 1 << 20, forged),
    ]:
        token = frame.decode_limit.set(limit)
        tracemalloc.start()
        try:
            came = summary(subject.codec.decode(data))
        except CorruptStream:
            came = ""
        except Exception as error:
            came = spell(error)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            frame.decode_limit.reset(token)
        if came:
            raise failure(f"CorruptStream for {what}", came, specimen)
        if peak > limit + (4 << 20):
            raise failure(
                f"{what} refused before it takes memory", f"{peak >> 20} MiB allocated", specimen
            )
    return ""


def _listed() -> tuple[CodecCheck, ...]:
    promises: dict[Callable[[Subject], str | None], str] = {
        _values: "any values of any dtype it takes come back bit for bit",
        _shapes: "so do empty, 0-d and many-dimensional arrays, with their shape",
        _layouts: "so do Fortran, strided, reversed and big-endian arrays",
        _memory_order: "decoded buffers lie as the array did that was encoded, or it is refused",
        _large: "so do tensors of more than two chunks",
        _decode_into: "decode fills `out`",
        _buffers: "streams may come in any buffer",
        _configuration: "get_config() goes through JSON and makes the same codec",
        _self_contained: "a stream holds all that decoding needs, settings included",
        _deterministic: "the same input gives the same bytes",
        _leaves_input_alone: "neither array nor stream is modified",
        _threads: "threads may share one codec",
        _expansion: "incompressible data grows little",
        _ledger: "the ledger sums to the stream's size",
        _fresh_process: "a process that never encoded decodes",
        _damage: "a flipped bit is an error",
        _truncation: "so is a stream that is cut off, or goes on",
        _refusals: "other dtypes are refused, not bent",
        _bounded: "forged sizes are refused before memory is taken",
    }
    return tuple(
        CodecCheck(function.__name__.strip("_").replace("_", "-"), promise, function)
        for function, promise in promises.items()
    )


#: Every check, in the order in which they run.
CHECKS = _listed()
