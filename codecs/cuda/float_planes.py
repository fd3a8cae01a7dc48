"""Planes of a float's bytes on the device, from their chunks to the words they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from slashbench.arrays import Int64s
from slashbench.codecs.cuda.coded_symbols import Chunks, CodedSymbols, Patches
from slashbench.codecs.cuda.gpu import DeviceBytes, Gpu
from slashbench.codecs.floats import PlaneCode
from slashbench.codecs.kernels.planes import CODED, PATCHED_PAIRS, RAW, n_pairs
from slashbench.errors import CorruptStream


class DevicePlane:
    """One plane of bytes: raw, coded, or coded in pairs."""

    def __init__(
        self, gpu: Gpu, chunks: Chunks, code: PlaneCode, symbols: type[CodedSymbols]
    ) -> None:
        self._gpu, self._code, self._chunk = gpu, code, chunks.chunk
        self._patches: Patches | None = None
        if code.decoder is None:
            self._begins = gpu.upload(chunks.begins)
            return
        if code.form == PATCHED_PAIRS:
            self._patches = Patches(gpu, chunks, 1)
            chunks = chunks.after_exceptions(1)
        if code.form != CODED:
            self._pairs = n_pairs(chunks.count, chunks.chunk)
            half = (chunks.chunk + 1) // 2
            chunks = Chunks(chunks.data, chunks.begins, chunks.ends, half, self._pairs)
        self._symbols = symbols(gpu, chunks, code.decoder, 1)

    def into(self, data: DeviceBytes, out: torch.Tensor, count: int, damaged: Any) -> None:
        """Write the plane of `count` values to `out`, bytes on the device at a multiple of 8."""
        from slashbench.codecs.cuda import device_loops

        values = self._gpu.seen(out[:count], np.uint8)
        if self._code.form == RAW:
            self._gpu.each(
                device_loops.copy_plane, count, data.single, self._begins, self._chunk, values
            )
            return
        if self._code.form == CODED:
            self._symbols.into(data, out, damaged)
            return
        pairs = self._gpu.room(self._pairs)
        self._symbols.into(data, pairs, damaged)
        both = self._gpu.seen(pairs, np.uint8)
        self._gpu.each(device_loops.unpair, count, both, self._code.low, self._chunk, values)
        if self._patches is not None:
            self._patches.put(data, out, damaged)


def plane_edges(chunks: Chunks, codes: list[PlaneCode]) -> Int64s:
    """Plane p of chunk c is data[edges[c, p] : edges[c, p + 1]]; shape (chunks, planes + 1).

    A chunk begins with the size of each plane that is not raw. Raises CorruptStream unless the
    planes fill it.
    """
    coded = [p for p, code in enumerate(codes) if code.form != RAW]
    begins = chunks.begins + 4 * len(coded)
    if np.any(begins > chunks.ends):
        raise CorruptStream("the sizes of the planes are cut off")
    heads = chunks.data[chunks.begins[:, None] + np.arange(4 * len(coded))]
    lengths = np.repeat(chunks.sizes[:, None], len(codes), axis=1)
    lengths[:, coded] = heads.reshape(-1).view("<u4").reshape(-1, len(coded))
    edges = np.concatenate([begins[:, None], begins[:, None] + lengths.cumsum(1)], axis=1)
    if np.any(edges[:, -1] != chunks.ends):
        raise CorruptStream("the planes don't fill their chunk")
    return edges
