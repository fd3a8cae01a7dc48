"""How long a codec takes for the tensors of a checkpoint, in a run.

The rule of when to stop is slashbench.bench.machine.timing's. `bench speed` compares codecs side by
side and has rounds of its own: slashbench.bench.speed.codec_speed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from slashbench.arrays import Array
from slashbench.bench.machine import locks, timing
from slashbench.bench.pipeline import timing_sample
from slashbench.bench.pipeline.compress import CodedValues
from slashbench.bench.pipeline.keys import Fields
from slashbench.codecs.base import TensorCodec
from slashbench.errors import StageBusy


def timed(coded: CodedValues, codec: TensorCodec, patient: bool) -> Fields:
    """Encode and decode the coded tensors, in memory, and return the fields of a timing.

    A codec that is too slow for the budget is timed on a fixed sample of rows; the record says on
    which share. Sizes are of the whole file in any case.

    patient: raise StageBusy while others are at work on this machine. Else times that are taken
    then are marked as contended.
    """
    with contextlib.ExitStack() as stack:
        disturbed = False
        try:
            stack.enter_context(locks.undisturbed())
        except StageBusy:
            if patient:
                raise
            disturbed = True
        every = coded.arrays
        share = timing_sample.largest_share(
            every, lambda arrays: _slower_pass_s(codec, arrays), timing.BUDGET_S
        )
        arrays = timing_sample.sample(every, share)
        streams: list[bytes] = []

        def encode_all() -> None:
            streams[:] = [codec.encode(array) for array in arrays]

        encode = timing.time_alone(encode_all)
        decode = timing.time_alone(lambda: [codec.decode(stream) for stream in streams])
    n_all, n_coded = sum(a.size for a in every), sum(a.size for a in arrays)
    return {
        "native_bytes": round(coded.native_bytes * n_coded / max(n_all, 1)),
        "n_coded": n_coded,
        "share": float(share),
        "encode": encode,
        "decode": decode,
        "contended": disturbed or timing.contended(encode) or timing.contended(decode),
    }


def _slower_pass_s(codec: TensorCodec, arrays: Sequence[Array]) -> float:
    """Seconds of encoding or decoding once, whichever takes longer; what is compiled first is not
    counted.
    """
    codec.decode(codec.encode(next(a for a in arrays if a.size).reshape(-1)[:1]))
    start = time.perf_counter()
    streams = [codec.encode(array) for array in arrays]
    middle = time.perf_counter()
    for stream in streams:
        codec.decode(stream)
    return max(middle - start, time.perf_counter() - middle)
