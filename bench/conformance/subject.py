"""A codec under test: encode, decode and compare, with every failure told the same way."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numcodecs.compat import ensure_bytes

from slashbench.arrays import Array
from slashbench.bench.conformance.specimens import DTYPES, Specimen
from slashbench.codecs.base import Bound, TensorCodec
from slashbench.errors import NotConformant, UsageError

Factory = Callable[[], Any]


class Inapplicable(unittest.SkipTest):
    """There is nothing to check in this codec."""


class Refused(Exception):
    """A codec of no declared domain does not take this input."""


class Subject:
    """A codec under test. Raises UsageError for what is none."""

    def __init__(self, make: Factory) -> None:
        self.make = make
        self.codec = make()
        if isinstance(self.codec, Bound):
            raise UsageError(
                f"{type(self.codec).__name__} is a yardstick, not a codec: it writes no bytes that "
                "could be tested; name a codec from `bench list codecs`"
            )
        missing = [name for name in ("encode", "decode") if not hasattr(self.codec, name)]
        if missing:
            raise UsageError(
                f"{self.codec!r} has no {' and no '.join(missing)}; a codec is a "
                "numcodecs.abc.Codec"
            )
        self.framed = isinstance(self.codec, TensorCodec)
        self.described = self.framed or hasattr(self.codec, "domains")
        domains = self.codec.domains if self.described else DTYPES.keys()
        self.dtypes = [dtype for domain in sorted(domains) for dtype in DTYPES[domain]]
        self.dtype = "int16" if "int16" in self.dtypes else self.dtypes[-1]

    def encode(self, specimen: Specimen, codec: Any = None) -> bytes:
        """Return the stream. Raises Refused where the codec may, NotConformant where it may not."""
        try:
            encoded = (codec or self.codec).encode(specimen.array())
        except Exception as error:
            if not self.described:
                raise Refused(spell(error)) from error
            raise failure("a stream", f"encode raised {spell(error)}", specimen) from error
        except BaseException as error:
            raise _panic(error, "encode", specimen) from error
        if self.framed and not isinstance(encoded, bytes):
            raise failure("bytes from encode", type(encoded).__name__, specimen)
        return bytes(ensure_bytes(encoded))

    def decode(self, stream: Any, specimen: Specimen, out: Any = None, codec: Any = None) -> Any:
        """Return what comes back, of whatever kind. Raises NotConformant for an error."""
        decoder = codec or self.codec
        try:
            return decoder.decode(stream) if out is None else decoder.decode(stream, out=out)
        except Exception as error:
            raise failure("the tensor", f"decode raised {spell(error)}", specimen) from error
        except BaseException as error:
            raise _panic(error, "decode", specimen) from error

    def compare(self, decoded: Any, specimen: Specimen) -> None:
        """Raises NotConformant unless this is the specimen, bit for bit."""
        if wrong := self.difference(decoded, specimen.array()):
            raise failure("the tensor that was encoded", wrong, specimen)

    def difference(self, decoded: Any, array: Array) -> str:
        """Return what is wrong with it; empty if nothing is."""
        native = array.astype(array.dtype.newbyteorder("="))
        if not self.described:
            came = bytes(ensure_bytes(decoded))
            if came in (array.tobytes("C"), array.tobytes("A"), native.tobytes()):
                return ""
            return f"{len(came)} bytes that are not its {array.nbytes}"
        if not isinstance(decoded, np.ndarray):
            return f"a {type(decoded).__name__}, no array"
        decoded = decoded.astype(decoded.dtype.newbyteorder("="), copy=False)
        if (decoded.dtype, decoded.shape) != (native.dtype, native.shape):
            return f"{decoded.dtype} of shape {decoded.shape}"
        if decoded.tobytes() == native.tobytes():
            return ""
        bits, wanted = (np.frombuffer(a.tobytes(), f"V{a.itemsize}") for a in (decoded, native))
        wrong = np.flatnonzero(bits != wanted)
        first = int(wrong[0])
        return (
            f"{wrong.size} of {bits.size} values wrong, the first at {first}: "
            f"{decoded.reshape(-1)[first]!r} for {native.reshape(-1)[first]!r}"
        )

    def round_trip(self, tried: Iterator[Specimen]) -> str:
        """Encode, decode and compare each. Returns a remark on those that were refused."""
        refused: dict[str, int] = {}
        taken = 0
        for specimen in tried:
            try:
                stream = self.encode(specimen)
            except Refused:
                refused[specimen.dtype] = refused.get(specimen.dtype, 0) + 1
                continue
            self.compare(self.decode(stream, specimen), specimen)
            taken += 1
        if not taken:
            raise NotConformant("expected that some input is encoded; every one was refused")
        total = sum(refused.values())
        return f"{taken} inputs" + (f", {total} refused: {', '.join(refused)}" if refused else "")

    def streams(self, kinds: Sequence[str], shape: tuple[int, ...]) -> list[tuple[Specimen, bytes]]:
        """Some specimens of the usual dtype, encoded. Raises Inapplicable when it takes none."""
        found = []
        for kind in kinds:
            specimen = Specimen(self.dtype, kind, shape)
            with contextlib.suppress(Refused):
                found.append((specimen, self.encode(specimen)))
        if not found:
            raise Inapplicable(f"it refuses {self.dtype}")
        return found


def failure(expected: str, came: str, specimen: Specimen, also: str = "") -> NotConformant:
    """Return the error for one input, with the Python code that makes it."""
    return NotConformant(
        f"expected {expected}; got {came}. To see it again{also}: "
        f"from slashbench.bench.conformance.specimens import Specimen; array = {specimen!r}.array()"
    )


def spell(error: BaseException) -> str:
    """Spell an error as messages show it."""
    return f"{type(error).__name__}: {error}"


def _panic(error: BaseException, what: str, specimen: Specimen) -> BaseException:
    """Return NotConformant for a Rust panic, which is no Exception; other errors as they are."""
    if type(error).__name__ != "PanicException":
        return error
    return failure("an error that derives from Exception", f"{what}: {spell(error)}", specimen)
