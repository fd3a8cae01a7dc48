"""Write the golden streams of `delta` that are missing; those that exist are never touched."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.codecs.delta import Delta

STREAMS = Path(__file__).parent / "deltas"
bell = runpy.run_path(str(Path(__file__).with_name("make.py")))["bell"]


def moved(dtype: Any, step: float) -> tuple[Any, Any]:
    """Weights after an update of about one size, whatever the weight; and before."""
    base = bell(3000).astype(np.float32) / np.float32(64) + np.float32(0.003)
    new = base + np.float32(step) * bell(3000)[::-1].astype(np.float32)
    return new.astype(dtype), base.astype(dtype)


def pruned() -> tuple[Any, Any]:
    _, base = moved(np.float32, 0)
    return np.where(np.abs(base) < 0.1, np.float32(0), base), base


def rows() -> tuple[Any, Any]:
    """A few rows that moved, in a matrix that did not."""
    new, base = moved(np.float32, 2.0**-12)
    new, base = new[:2560].reshape(20, 128), base[:2560].reshape(20, 128)
    return np.where(np.arange(20)[:, None] % 5 == 0, new, base), base


def special() -> tuple[Any, Any]:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45], np.float32)
    return np.tile(values, 9)[:70].copy(), np.repeat(values, 9)[:70].copy()


def quantized() -> tuple[Any, Any]:
    """Weights rounded to integers, with a scale for each row."""
    _, base = moved(np.float32, 0)
    base = base[:2560].reshape(20, 128)
    scales = np.abs(base).max(1, keepdims=True) / np.float32(7)
    return np.rint(base / scales) * scales, base


#: name -> (new, base)
PAIRS = {
    "float32": moved(np.float32, 2.0**-12),
    "bfloat16": moved(ml_dtypes.bfloat16, 2.0**-9),
    "float16": moved(np.float16, 2.0**-12),
    "float64": moved(np.float64, 2.0**-12),
    "rare": moved(ml_dtypes.bfloat16, 2.0**-15),
    "int8": (bell(900).astype(np.int8), np.roll(bell(900), 1).astype(np.int8)),
    "uint32": (bell(900).astype(np.uint32) * 3, bell(900).astype(np.uint32) * 3 + 1),
    "pruned": pruned(),
    "rows": rows(),
    "special": special(),
    "quantized": quantized(),
    "same": (bell(900).astype(np.float32), bell(900).astype(np.float32)),
    "scalar": (np.array(1.5, np.float32), np.array(1.25, np.float32)),
    "empty": (np.zeros((4, 0), np.float32), np.zeros((4, 0), np.float32)),
}

#: name of a stream -> (settings, pair)
CASES: dict[str, tuple[dict[str, Any], str]] = {
    **{name: ({}, name) for name in PAIRS},
    "float32.float-rans": ({"coder": "float-rans"}, "float32"),
    "bfloat16.sparse": ({"coder": "sparse"}, "bfloat16"),
}


def main() -> None:
    """Write what is missing."""
    STREAMS.mkdir(exist_ok=True)
    for name, (settings, pair) in CASES.items():
        path = STREAMS / f"{name}.bin"
        if not path.exists():
            new, base = PAIRS[pair]
            path.write_bytes(Delta(**settings).given(base).encode(new))
            print("wrote", path)


if __name__ == "__main__":
    main()
