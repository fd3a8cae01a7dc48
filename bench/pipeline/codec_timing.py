"""How long a codec takes for the tensors of a checkpoint."""

from __future__ import annotations

import contextlib

from slashbench.bench.machine import locks, timing
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.pipeline.quantized import Prepared
from slashbench.codecs.base import TensorCodec
from slashbench.errors import StageBusy


def timed(prepared: Prepared, codec: TensorCodec, patient: bool) -> Fields:
    """Encode and decode all coded tensors, in memory, and return the fields of a timing.

    patient: raise StageBusy while others are at work on this machine. Else times that are taken
    then are marked as contended.
    """
    arrays = [tensor.values for tensor in prepared.coded.values()]
    streams: list[bytes] = []

    def encode_all() -> None:
        streams[:] = [codec.encode(array) for array in arrays]

    with contextlib.ExitStack() as stack:
        disturbed = False
        try:
            stack.enter_context(locks.undisturbed())
        except StageBusy:
            if patient:
                raise
            disturbed = True
        encode = timing.time_alone(encode_all)
        decode = timing.time_alone(lambda: [codec.decode(stream) for stream in streams])
    return {
        "native_bytes": sum(prepared.source.header.tensors[n].nbytes for n in prepared.coded),
        "n_coded": sum(array.size for array in arrays),
        "encode": encode,
        "decode": decode,
        "contended": disturbed or timing.contended(encode) or timing.contended(decode),
    }
