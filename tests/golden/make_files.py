"""Write the golden compressed checkpoints that are missing; those that exist are never touched.

Those of format 1 were written by slashbench 0.1 and can't be made again.
"""

from __future__ import annotations

import io
import runpy
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

import slashbench
from slashbench.bench.checkpoint import convert, encoder, plain_header, state_dict, update
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.pipeline import artifact
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Quantized
from slashbench.grid import ChannelScales, Codebook, TensorScale
from slashbench.link import only
from slashbench.trainers.catalog import QUANTISERS
from tests.helpers.tensor_samples import compressed_as

FILES = Path(__file__).parent / "files"
_MAKE = runpy.run_path(str(Path(__file__).with_name("make.py")))
TENSORS, bell = _MAKE["TENSORS"], _MAKE["bell"]


def lossless(quantiser: str | None) -> bytes:
    """Every dtype that NumPy has, in segments, some stored, one a copy."""
    tensors = dict(TENSORS)
    del tensors["chunks"], tensors["columns"]
    tensors |= {"copy": tensors["rows"].copy(), "positions": np.arange(500), "mask": bell(900) > 0}
    tensors |= {"matrix": (bell(2000) / 64).astype(np.float32).reshape(50, 40)}
    kinds = {
        name: (plain_header.NAMES[array.dtype], array.shape) for name, array in tensors.items()
    }
    source = Source(
        plain_header.compose(kinds, {"format": "pt"}),
        lambda name: tensors[name].reshape(-1).view(np.uint8),
    )
    encoder.SEGMENT = encoder.QUANTIZED_SEGMENT = 4000
    encoder.SMALL = 256
    file = io.BytesIO()
    convert.compress(file, source, Coding.of(None, quantiser and only(QUANTISERS, quantiser)))
    return file.getvalue()


def grids() -> bytes:
    """Every grid, tied tensors, stored ones."""
    values = bell(640).reshape(20, 32)
    ramp = np.arange(1, 41, dtype=np.float32) / np.float32(8)
    coded = {
        "one step": Quantized(values, TensorScale(2**-6)),
        "by row": Quantized(values, ChannelScales(ramp[:20])),
        "by group": Quantized(values, ChannelScales(ramp.reshape(20, 2).astype(np.float16))),
        "codebook": Quantized(np.abs(values) % 16, Codebook(ramp[:16] ** 2)),
    }
    stored = {"bias": bell(30).astype(np.float32) / 7, "none": np.zeros((0, 3), np.float32)}
    return compressed_as(coded, stored, only(CODECS, "rans"), {"tied": "one step"})


def with_base() -> None:
    """Write a plain base, and a file that holds what differs from it."""
    base, delta = FILES / "format3-base.safetensors", FILES / "format3-delta.safetensors"
    old = {"matrix": bell(2000).astype(np.float32).reshape(50, 40) / 64, "kept": bell(900)}
    moved = old["matrix"].copy()
    moved[::7, ::3] *= np.float32(1.01)
    new = {"matrix": moved, "kept": old["kept"], "added": bell(700).astype(np.float16)}
    if not base.exists():
        base.write_bytes(safetensors.numpy.save(old))
    if not delta.exists():
        tensors = {name: torch.from_numpy(array) for name, array in new.items()}
        slashbench.save_file(tensors, delta, base=base)
        made = slashbench.load_file(delta, base=base)
        print("wrote", delta.name, update.weights_sha256(state_dict.to_numpy(made)))


def main() -> None:
    """Write what is missing, and say the hashes that the test holds it to."""
    for name, make in [
        ("lossless", lambda: lossless(None)),
        ("quantized", lambda: lossless("quantize:step=2^-4")),
        ("grids", grids),
    ]:
        path = FILES / f"format2-{name}.safetensors"
        if not path.exists():
            path.write_bytes(make())
            print("wrote", path.name, update.weights_sha256(artifact.read(path)))
    with_base()


if __name__ == "__main__":
    main()
