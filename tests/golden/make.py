"""Write the golden streams that are missing. Run it by hand; it never touches one that exists.

A golden stream is a promise: every later version decodes it. When the bytes a codec writes change,
raise its `revision`, add a case under a new name here, and keep the old stream.
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np

from slashbench.codecs.catalog import CODECS
from tests.helpers.integer_samples import trellis_rows

STREAMS = Path(__file__).parent / "streams"
VERSION_1 = Path(__file__).parent / "version1"  # of the stream format: decoded, no longer written


def bell(n: int) -> np.ndarray:
    """Bell-shaped symbols from integer arithmetic alone: the same everywhere and for ever."""
    state, out = 1, []
    for _ in range(n):
        total = 0
        for _ in range(4):  # a linear congruential generator (Knuth), its top bits
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            total += state >> 60
        out.append(total - 30)
    return np.array(out, np.int32)


def outliers() -> np.ndarray:
    """Mostly small, a few extreme."""
    symbols = bell(600)
    symbols[[3, 77, 599]] = 2**31 - 1, -(2**31), 123_456
    return symbols


def tails() -> np.ndarray:
    """Two places in three bell-shaped, the others spread out: rare values with long codewords."""
    symbols = bell(39_999)
    symbols[::3] = symbols[::3] * np.abs(symbols[1::3]) // 8
    return np.clip(symbols, -128, 127).astype(np.int8)


def rows() -> np.ndarray:
    """A matrix whose rows differ in scale by up to 8."""
    symbols = bell(16_000).reshape(160, 100) // (1 + np.arange(160) % 8)[:, None]
    return symbols.astype(np.int8)


def grid() -> np.ndarray:
    """A matrix whose rows and columns both differ in scale."""
    symbols = bell(24_000).reshape(200, 120) * 4 // (1 + np.arange(200) % 5)[:, None]
    symbols = symbols // (1 + np.arange(120) * 7 % 4)
    symbols[7, 9], symbols[150, 2] = -128, 127
    return symbols.astype(np.int8)


def blocks() -> np.ndarray:
    """Records of 34 bytes: two that are nearly alike in all, and 32 that are not."""
    records = bell(400 * 34).reshape(400, 34) * 3
    records[:, 0], records[:, 1] = bell(400) // 4 + 60, 28
    return records.astype(np.int8).view(np.uint8)


def along_trellis(states: int) -> np.ndarray:
    """Rows that follow the trellis, of two scales, with a value far out."""
    indices = bell(6_400).reshape(64, 100) // 6
    indices[::2] //= 2
    rows = trellis_rows(states, indices)
    rows[5] = 0
    rows[5, 3] = 600  # at a place of state 0
    return rows


def float_rows() -> np.ndarray:
    """A matrix of bfloat16 whose rows differ in scale by up to 8, with outliers."""
    values = np.tile(bell(4096), 32).reshape(256, 512) + np.linspace(0.01, 0.7, 512)
    values = values / (64 << np.arange(256) % 4)[:, None]
    values[9, 5], values[200, 100] = 0.0, 1e30
    return values.astype(ml_dtypes.bfloat16)


def scaled_groups(zero: int) -> np.ndarray:
    """Integers by a scale of each row of 64, plus an offset; a few values that are neither."""
    integers = (bell(2560) // 8 + 4).clip(0, 7).reshape(40, 64).astype(np.float32)
    scales = (bell(40) + 100).astype(np.float32)[:, None] / np.float32(7777)
    values = integers * scales - zero * np.float32(0.01)
    values[3, 4:8], values[5, 5] = (0.0, -0.0, np.nan, np.inf), 0.777
    return values.astype(np.float32)


TENSORS = {
    "bell": bell(640).astype(np.int8).reshape(20, 32),
    "outliers": outliers(),
    "wide": (bell(5000) * 997 + np.arange(5000)).astype(np.int32),  # over 4096 values: escapes
    "unsigned": (bell(300) + 40_000).astype(np.uint16),
    "unsigned32": np.array([0, 1, 2**31, 2**32 - 1], np.uint32),
    "constant": np.full((3, 5, 7), -9, np.int16),
    "chunks": np.tile(bell(4096).astype(np.int8), 65),  # two chunks
    "tails": tails(),
    "rows": rows(),
    "columns": np.ascontiguousarray(rows().T),
    "grid": grid(),
    "blocks": blocks(),
    "levels": (bell(3000) // 3).astype(np.float32) / np.float32(7),
    "trellis4": along_trellis(4),
    "trellis8": along_trellis(8),
    "scalar": np.array(-128, np.int8),
    "empty": np.zeros((4, 0), np.int32),
    "float32": bell(200).astype(np.float32) / np.float32(64),
    "float16": np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0], np.float16),
    "bfloat16": (bell(999) ** 3 / 256).astype(ml_dtypes.bfloat16),
    "float64": bell(50).astype(np.float64) / 3,
    "float-rows": float_rows(),
    "float-scales": scaled_groups(0),
    "float-scales16": scaled_groups(0).astype(np.float16),
    "float-offsets": scaled_groups(1),
}

LARGE = {
    "chunks",
    "tails",
    "rows",
    "columns",
    "grid",
    "trellis4",
    "trellis8",
    "blocks",
    "levels",
    "float-rows",
    "float-scales",
    "float-scales16",
    "float-offsets",
}
INTEGERS = [name for name in TENSORS if "float" not in name and name not in LARGE]
OURS = [
    "pack",
    "exp-golomb",
    "golomb-rice",
    "elias-gamma",
    "elias-delta",
    "huffman",
    "rans",
    "sparse",
]
MODELLED = ["rans-ggd"]
PEERS = ["zlib", "bz2", "lzma", "brotli", "lz4", "blosc2", "pcodec", "zipnn", "openzl-huffman"]
PEERS += ["openzl-fse", "constriction-huffman", "deepcabac"]
NEW_PEERS = ["openzl-compress", "z4ai", "isal", "libdeflate"]
FLOAT_PEERS = ["openzl-huffman", "openzl-fse", "openzl-compress", "z4ai", "zfp"]
FLOATS = ["float-huffman", "float-rans", "float-classes"]
#: name of a stream -> (codec, its settings, tensor)
CASES = (
    {
        f"{codec}.{tensor}": (codec, {}, tensor)
        for codec in [*OURS, *MODELLED, "range", "ans", "zstd"]
        for tensor in (sorted(TENSORS.keys() - LARGE) if codec == "zstd" else INTEGERS)
    }
    | {
        f"{codec}.{tensor}": (codec, {}, tensor)
        for codec in FLOATS
        for tensor in ("float16", "float32", "float64", "bfloat16")
    }
    | {
        f"{codec}.{tensor}": (codec, {}, tensor)
        for codec in [*PEERS, *NEW_PEERS]
        for tensor in ("bell", "outliers", "scalar", "empty")
    }
    | {
        f"{codec}.{tensor}": (codec, {}, tensor)
        for codec in FLOAT_PEERS
        for tensor in ("bfloat16", "float16", "float32", "float64")
    }
    | {  # written when the codec was called `max`
        f"max.{tensor}": ("rans-classes", {}, tensor) for tensor in (*INTEGERS, "rows", "columns")
    }
    | {
        "fields.blocks": ("fields", {}, "blocks"),
        "fields.bell": ("fields", {}, "bell"),
        "fields.outliers": ("fields", {}, "outliers"),
        "palette.levels": ("palette", {}, "levels"),
        "palette.bfloat16": ("palette", {}, "bfloat16"),
        "palette.float64": ("palette", {}, "float64"),
        "palette.scales": ("palette", {}, "float-scales"),
        "palette.scales16": ("palette", {}, "float-scales16"),
        "palette.offsets": ("palette", {}, "float-offsets"),
    }
    | {
        f"rans-classes.{tensor}": ("rans-classes", {}, tensor)
        for tensor in ("rows", "columns", "grid", "trellis4", "trellis8")
    }
    | {
        "exp-golomb.rank0-bell": ("exp-golomb", {"k": 0, "map": "rank"}, "bell"),
        "exp-golomb.rank0-outliers": ("exp-golomb", {"k": 0, "map": "rank"}, "outliers"),
        "huffman.short-bell": ("huffman", {"max_length": 4}, "bell"),
        "huffman.long-outliers": ("huffman", {"max_length": 14}, "outliers"),
        "float-classes.float-rows": ("float-classes", {}, "float-rows"),
        "huffman.chunks": ("huffman", {}, "chunks"),
        "huffman.tails": ("huffman", {}, "tails"),
        "rans.chunks": ("rans", {}, "chunks"),
        "rans-ggd.chunks": ("rans-ggd", {}, "chunks"),
    }
)
#: Written by an earlier revision: they decode, and today's encoder writes others.
OLD = {"max.rows", "max.columns"}


def main() -> None:
    """Write what is missing."""
    for name, (codec, settings, tensor) in CASES.items():
        path = STREAMS / f"{name}.bin"
        if not path.exists():
            path.write_bytes(CODECS.get(codec)(**settings).encode(TENSORS[tensor]))
            print("wrote", path)


if __name__ == "__main__":
    main()
