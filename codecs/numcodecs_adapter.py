"""Any numcodecs codec as a codec here: `numcodecs.ID`, with the settings of its constructor.

    bench run --codecs numcodecs.zlib:level=9,numcodecs.blosc:cname=zstd:clevel=5,rans

Tensors are laid out as integers of their width (byte_layouts.py), framed and checked like others.
Nothing is known of the codec itself: whether it is lossless shows when a checkpoint is decoded and
compared, and its decoder is believed to be safe on bytes whose checksum is right.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, ClassVar

import numcodecs
import numpy as np
from numcodecs.compat import ensure_bytes
from numcodecs.errors import UnknownCodecError

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec
from slashbench.errors import CorruptStream, MissingDependency, Unencodable, UnknownName

#: Codecs of Python objects, not of numbers; one of them runs whatever its stream tells it to.
_OF_OBJECTS = frozenset(
    ["pickle", "json2", "msgpack2", "categorize", "vlen-array", "vlen-bytes", "vlen-utf8"]
)


class Foreign(ByteCodec):
    """A numcodecs codec. Subclasses, made by `by_id`, have its constructor's settings."""

    trusts_input: ClassVar[bool] = True
    max_expansion: ClassVar[float] = 2.5  # some are no compressors
    settings_are_of: ClassVar[type[Any]]  # the numcodecs codec (`slashbench.selector` asks)

    def __init__(self, **settings: Any) -> None:
        parameters = inspect.signature(self.settings_are_of).parameters.values()
        for name, value in ({p.name: p.default for p in parameters} | settings).items():
            setattr(self, name, value)
        self._codec = self.settings_are_of(**settings)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return the payload. Raises Unencodable for numbers that the codec does not take."""
        try:
            encoded = self._codec.encode(np.frombuffer(raw, f"i{itemsize}"))
            return bytes(ensure_bytes(encoded))
        except Exception as error:  # its own errors, whatever they are
            raise Unencodable(f"{self.codec_id}: {type(error).__name__}: {error}") from error

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the bytes, or whatever else the codec makes of a damaged payload."""
        try:
            return bytes(ensure_bytes(self._codec.decode(payload)))
        except Exception as error:
            raise CorruptStream(f"{self.codec_id}: {type(error).__name__}: {error}") from error


@functools.cache
def by_id(name: str) -> type[Foreign]:
    """Return the codec class for a numcodecs id, such as `zlib`.

    Raises UnknownName for no codec of numbers, MissingDependency for one that can't be used here.
    """
    if name in _OF_OBJECTS or name.startswith("slashbench."):
        raise UnknownName(f"numcodecs.{name} is no codec of numbers that is made elsewhere")
    try:
        inner = type(numcodecs.get_codec({"id": name}))
        inspect.signature(inner)
    except UnknownCodecError as error:
        raise UnknownName(
            f"numcodecs has no codec {name!r}; `python -c 'import numcodecs.registry as r; "
            f"print(sorted(r.codec_registry))'` lists those it has"
        ) from error
    except TypeError as error:
        raise UnknownName(f"numcodecs.{name} can't be used here: {error}") from error
    except ImportError as error:
        raise MissingDependency(f"numcodecs.{name}: {error}") from error

    about = (inner.__doc__ or name).strip().partition("\n")[0]
    return type(
        f"Numcodecs_{name}",
        (Foreign,),
        {
            "__doc__": f"{about} (numcodecs)",
            "codec_id": f"slashbench.numcodecs.{name}",
            "settings_are_of": inner,
        },
    )
