"""A stream on the device: parsed, checked and laid out by the host, decoded by kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch

from slashbench import parallel
from slashbench.arrays import Array
from slashbench.codecs.cuda.coded_symbols import (
    Chunks,
    CodedSymbols,
    GolombSymbols,
    PrefixSymbols,
    RansSymbols,
)
from slashbench.codecs.cuda.float_planes import DevicePlane, plane_edges
from slashbench.codecs.cuda.gpu import Gpu
from slashbench.codecs.families.base import TensorCodec, read_width
from slashbench.codecs.families.table_codec import TOO_MANY, TableCodec
from slashbench.codecs.floats import FloatCodec, FloatHuffman, FloatRans
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.kernels.integer_codes import MAX_ORDER
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream, UnknownName

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class DeviceStream(ABC):
    """A stream of one codec on the device, ready to be decoded there."""

    def __init__(self, gpu: Gpu, parts: Frame) -> None:
        self._gpu, self._dtype, self._shape = gpu, parts.dtype, parts.shape
        self._count = parts.count

    def decode(self) -> torch.Tensor:
        """Return the tensor, C-contiguous, on the device; a new one each time.

        Raises CorruptStream.
        """
        with self._gpu.current():
            damaged = torch.zeros(4, dtype=torch.uint8, device=self._gpu.device)
            flat = self._decode(self._gpu.seen(damaged, np.int32))
            if damaged.any():
                raise CorruptStream("the coded values are cut off or damaged")
        return flat.view(getattr(torch, self._dtype.name)).reshape(self._shape)

    @abstractmethod
    def _decode(self, damaged: Any) -> torch.Tensor:
        """Return the values, or their bits, flat; kernels set damaged[0] to 1 if they can't."""


class _OfHost(DeviceStream):
    """What the codec itself has decoded, on the CPU."""

    def __init__(self, gpu: Gpu, parts: Frame, array: Array) -> None:
        super().__init__(gpu, parts)
        native = np.ascontiguousarray(array, parts.dtype)  # whatever order it lies in
        self._bytes = gpu.copied(native, native.nbytes)

    def _decode(self, damaged: Any) -> torch.Tensor:
        return self._bytes.clone()


class _OfIntegers(DeviceStream):
    """A stream of `huffman` or `rans`."""

    coder: ClassVar[TableCodec]
    symbols: ClassVar[type[CodedSymbols]]

    def __init__(self, gpu: Gpu, parts: Frame) -> None:
        super().__init__(gpu, parts)
        tables = Reader(parts.tables)
        self._width = read_width(tables, parts.dtype)
        chunks = Chunks(parts.data, parts.begins, parts.ends, parts.chunk, parts.count)
        form = tables.byte()
        self._symbols: CodedSymbols | GolombSymbols
        if form == TOO_MANY:
            self._symbols = GolombSymbols(gpu, chunks, _order(tables), self._width)
        else:
            dtype = np.dtype(f"i{self._width}")
            decoder = self.coder.decoder(form, tables, dtype, parts.count)
            self._symbols = self.symbols(gpu, chunks, decoder, self._width)
        self._data = gpu.upload_stream(parts.data)

    def _decode(self, damaged: Any) -> torch.Tensor:
        n_bytes = self._count * self._width
        out = self._gpu.room(n_bytes)
        self._symbols.into(self._data, out, damaged)
        return out[:n_bytes].view(_SIGNED[self._width]).to(_SIGNED[self._dtype.itemsize])


class _OfHuffman(_OfIntegers):
    coder: ClassVar[TableCodec] = Huffman()
    symbols: ClassVar[type[CodedSymbols]] = PrefixSymbols


class _OfRans(_OfIntegers):
    coder: ClassVar[TableCodec] = Rans()
    symbols: ClassVar[type[CodedSymbols]] = RansSymbols


class _OfFloats(DeviceStream):
    """A stream of `float-huffman` or `float-rans`."""

    coder: ClassVar[FloatCodec]
    symbols: ClassVar[type[CodedSymbols]]

    def __init__(self, gpu: Gpu, parts: Frame) -> None:
        super().__init__(gpu, parts)
        codes = self.coder.read_planes(parts.tables, parts.dtype.itemsize, parts.count)
        chunk = min(parts.chunk, parts.count)
        whole = Chunks(parts.data, parts.begins, parts.ends, chunk, parts.count)
        edges = plane_edges(whole, codes).T.copy()
        self._planes = [
            DevicePlane(
                gpu,
                Chunks(parts.data, edges[p], edges[p + 1], chunk, parts.count),
                code,
                self.symbols,
            )
            for p, code in enumerate(codes)
        ]
        self._data = gpu.upload_stream(parts.data)

    def _decode(self, damaged: Any) -> torch.Tensor:
        from slashbench.codecs.cuda import device_loops

        count, width = self._count, self._dtype.itemsize
        planes = self._gpu.room(width * (count + 7 & -8)).reshape(width, -1)
        for plane, row in zip(self._planes, planes, strict=True):
            plane.into(self._data, row, count, damaged)
        out = self._gpu.room(count * width)[: count * width]
        both = self._gpu.seen(planes, np.uint8), self._gpu.seen(out, f"u{width}")
        self._gpu.each(device_loops.join_planes, count, *both)
        return out


class _OfFloatHuffman(_OfFloats):
    coder: ClassVar[FloatCodec] = FloatHuffman()
    symbols: ClassVar[type[CodedSymbols]] = PrefixSymbols


class _OfFloatRans(_OfFloats):
    coder: ClassVar[FloatCodec] = FloatRans()
    symbols: ClassVar[type[CodedSymbols]] = RansSymbols


_READERS: dict[str, tuple[TensorCodec, type[DeviceStream]]] = {
    "huffman": (_OfHuffman.coder, _OfHuffman),
    "rans": (_OfRans.coder, _OfRans),
    "float-huffman": (_OfFloatHuffman.coder, _OfFloatHuffman),
    "float-rans": (_OfFloatRans.coder, _OfFloatRans),
}

#: Names of the codecs whose streams decode here; their settings don't matter.
DECODED_HERE = tuple(_READERS)


def decode(stream: Any, codec: str, device: str | torch.device = "cuda") -> torch.Tensor:
    """Decode a stream to a tensor on a CUDA device.

    Parameters
    ----------
    stream : buffer of bytes
        What the codec's `encode` returned.
    codec : str
        Which codec that was: one of `DECODED_HERE`.
    device : str or torch.device
        A CUDA device; under Numba's simulator any, and the tensor is on the CPU.

    Returns
    -------
    torch.Tensor
        The array that was encoded, C-contiguous and in native byte order, the same values as
        `codec.decode` finds.

    Raises
    ------
    CorruptStream
        If the codec did not write these bytes.
    UsageError
        If there is no such device, or what drives it is not installed.
    """
    return upload(stream, codec, device).decode()


def upload(stream: Any, codec: str, device: str | torch.device = "cuda") -> DeviceStream:
    """Check a stream and copy it to the device; parameters and errors as of `decode`.

    Streams of format version 1 are decoded at once, on the CPU.
    """
    if codec not in _READERS:
        raise UnknownName(f"{codec!r} does not decode on a GPU; {', '.join(_READERS)} do")
    gpu = Gpu(device)
    coder, made = _READERS[codec]
    parts = frame.unpack(stream)
    if frame.domain_of(parts.dtype) not in coder.domains:
        raise CorruptStream(f"{coder.codec_id} never writes {parts.dtype}")
    with gpu.current():
        if not parts.count or parts.version == 1 or _is_ranked(parts):
            return _OfHost(gpu, parts, coder.decode(parts))
        parallel.over_ranges(parts.verify, parts.chunks)
        try:
            return made(gpu, parts)
        except CorruptStream:
            raise
        except (ValueError, IndexError, OverflowError, KeyError) as error:
            raise CorruptStream(f"{coder.codec_id}: damaged stream ({error})") from error


def _order(tables: Reader) -> int:
    """The order of exp-Golomb codewords, after a number of ranked values that is 0."""
    tables.varint(0)
    order = tables.byte()
    tables.end()
    if order > MAX_ORDER:
        raise CorruptStream(f"order {order}, over {MAX_ORDER}")
    return order


def _is_ranked(parts: Frame) -> bool:
    """Whether exp-Golomb codes ranks: an encoder could write that, and none does."""
    of_integers = frame.domain_of(parts.dtype) == "integers"
    return of_integers and parts.tables[1:2] == bytes([TOO_MANY]) and parts.tables[2:3] != b"\0"
