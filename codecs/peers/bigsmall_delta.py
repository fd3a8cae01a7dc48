"""BigSmall's deltas."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.delta_codec import WholeDeltaCodec
from slashbench.errors import CorruptStream, Unencodable

_ALONE = threading.Lock()
_NAME = "w"
_DTYPES = {
    np.dtype(ml_dtypes.bfloat16): "BF16",
    np.dtype(np.float16): "F16",
    np.dtype(np.float32): "F32",
}


class BigSmallDelta(WholeDeltaCodec):
    """Compress the exclusive or with the base by BigSmall. Decode trusted streams only.

    `compress_delta` of files of one tensor, in a temporary folder: it has no other way. It keeps
    the shorter of the difference and the tensor alone. Licence: Elastic-2.0, which is not an open
    source licence.
    """

    codec_id: ClassVar[str] = "slashbench.bigsmall-delta"
    trusts_input: ClassVar[bool] = True
    domains: ClassVar[frozenset[str]] = frozenset({"floats"})

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return the file that BigSmall wrote."""
        from bigsmall import encoder

        if flat.itemsize > 4:
            raise Unencodable(f"bigsmall gives {flat.dtype} back as another type")
        with _folder() as folder:
            new, old, out = folder / "new.safetensors", folder / "old.safetensors", folder / "d.bs"
            _write(new, flat)
            _write(old, base)
            encoder.compress_delta(new, old, out, workers=1, progress=False)
            written: bytes = out.read_bytes()
            return written

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` from such a file."""
        from bigsmall import decoder

        with _folder() as folder:
            old, made = folder / "old.safetensors", folder / "d.bs"
            _write(old, base)
            made.write_bytes(payload.tobytes())
            found = decoder.decompress_delta(made, old, progress=False)[_NAME]
        raw = np.ascontiguousarray(found).reshape(-1).view(np.uint8)
        if raw.size != flat.nbytes:
            raise CorruptStream(f"the file holds {raw.size} bytes, the tensor {flat.nbytes}")
        flat.view(np.uint8)[:] = raw


@contextlib.contextmanager
def _folder() -> Any:
    """Yield a folder; what the library prints meanwhile is dropped.

    In one thread at a time: two that took `sys.stdout` away would not put the first one back.
    """
    with (
        _ALONE,
        tempfile.TemporaryDirectory(prefix="slashbench-bigsmall-") as made,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield Path(made)


def _write(path: Path, flat: Array) -> None:
    """Write a safetensors file of one tensor, which its library does for no bfloat16 of NumPy."""
    entry = {"dtype": _DTYPES[flat.dtype], "shape": [flat.size], "data_offsets": [0, flat.nbytes]}
    header = json.dumps({_NAME: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + flat.tobytes())
