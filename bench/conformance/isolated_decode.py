"""Decode streams in a process that never encoded any, and that may crash or hang in doing so."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numcodecs.compat import ensure_bytes

from slashbench.bench.conformance.subject import Subject, spell
from slashbench.bench.machine import fresh_process
from slashbench.errors import CorruptStream

TIMEOUT_S = 120


@dataclass(frozen=True)
class DecodeResult:
    """What decoding one stream came to."""

    summary: str = ""  # of the tensor
    refusal: str = ""  # the error
    corrupt: bool = False  # the error is CorruptStream
    fatal: bool = False  # it took the process with it, hung, or was no Exception


def summary(decoded: Any) -> str:
    """Summarise a decoded tensor: dtype, shape and hash."""
    data = hashlib.sha256(ensure_bytes(decoded)).hexdigest()[:8]
    dtype, shape = getattr(decoded, "dtype", "bytes"), getattr(decoded, "shape", len(decoded))
    return f"{dtype} of shape {shape}, hash {data}"


def _verdict(codec: Any, stream: bytes) -> DecodeResult:
    try:
        return DecodeResult(summary(codec.decode(stream)))
    except Exception as error:
        return DecodeResult(refusal=spell(error), corrupt=isinstance(error, CorruptStream))
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return DecodeResult(refusal=spell(error), fatal=True)


def verdicts(subject: Subject, streams: list[bytes]) -> Iterator[DecodeResult]:
    """Decode each: in another process if it can import the codec, else here."""
    if not_importable(subject):
        return (_verdict(subject.codec, stream) for stream in streams)
    return decode_apart(subject, streams)


def not_importable(subject: Subject) -> str:
    """Return why another process can't import the codec's class; empty if it can."""
    cls = type(subject.codec)
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is cls and cls.__module__ != "__main__":
        return ""
    return f"another process can't import {cls.__qualname__}: define it at the top of a module"


def decode_apart(subject: Subject, streams: list[bytes]) -> Iterator[DecodeResult]:
    """Decode in a process that never encoded; the last verdict is fatal if it dies or hangs."""
    cls = type(subject.codec)
    config = {key: value for key, value in subject.codec.get_config().items() if key != "id"}
    asked = (cls.__module__, cls.__qualname__, config, streams)
    with fresh_process.started(_answer, *asked) as receive:
        for _ in streams:
            try:
                yield receive(TIMEOUT_S)
            except (fresh_process.Died, TimeoutError) as error:
                yield DecodeResult(refusal=str(error), fatal=True)
                return


def _answer(
    sender: Any, module: str, name: str, config: dict[str, Any], streams: list[bytes]
) -> None:
    """Runs in the fresh process."""
    cls: Any = importlib.import_module(module)
    for part in name.split("."):
        cls = getattr(cls, part)
    codec = cls.from_config(config)
    for stream in streams:
        sender.send(_verdict(codec, stream))
