"""Decoders for a CUDA device: the streams that the CPU's codecs write, into a torch tensor there.

    decode   a stream, from bytes to a tensor on the device
    upload   the same in two steps, for whoever decodes one stream more than once

A chunk of a stream has four streams of codewords (`huffman`) or eight lanes (`rans`); each has a
thread, so a tensor of a million values keeps some thirty threads busy, one of a billion thirty
thousand. To import this room takes torch, and to use it a CUDA device; nothing else of slashbench
imports it.
"""

from __future__ import annotations

from slashbench.codecs.cuda.device_stream import DECODED_HERE, DeviceStream, decode, upload

__all__ = ["DECODED_HERE", "DeviceStream", "decode", "upload"]
