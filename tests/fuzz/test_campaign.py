"""The campaign finds what it is for: crashes, hangs, greed, foreign memory, wrong answers."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from slashbench.codecs.base import SymbolCodec
from slashbench.codecs.pack import Pack
from slashbench.codecs.stream.frame import decode_limit
from tests.fuzz import campaign
from tests.helpers import file_mutator
from tests.helpers import stream_mutator as mutator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and fork")


class Plain(SymbolCodec):
    codec_id = "fuzz.plain"

    def encode_symbols(self, symbols):
        return b"\x05", symbols.astype("<i4").tobytes()

    def decode_symbols(self, tables, payload, count):
        if tables != b"\x05":
            self.misbehave()
        if 4 * count != len(payload):
            raise ValueError("length")
        return np.frombuffer(payload, "<i4", count).astype(np.int32)

    def misbehave(self):
        raise ValueError("tables")


class Crashes(Plain):
    story = "died with exit code -11"

    def misbehave(self):
        ctypes.string_at(0)


class Hangs(Plain):
    story = "no answer in 1 s"

    def misbehave(self):
        time.sleep(60)


class Greedy(Plain):
    story = "MemoryError"

    def misbehave(self):
        np.zeros(1 << 30, np.uint8)
        raise ValueError("tables")


class RaisesOthers(Plain):
    story = "ZeroDivisionError"

    def misbehave(self):
        raise ZeroDivisionError


class ReadsBeyond(Plain):
    story = "surrounds the stream"

    def _decode(self, parts, first, last, flat):
        super()._decode(parts, first, last, flat)
        flat[0] = ctypes.string_at(parts.data.ctypes.data + parts.data.size, 1)[0] & 1


class LeavesSomeUnwritten(Plain):
    story = "in memory before"

    def _decode(self, parts, first, last, flat):
        kept = flat[-1]
        super()._decode(parts, first, last, flat)
        flat[-1] = kept


class OtherDtype(Plain):
    story = "the stream declares"

    def decode(self, buf, out=None):
        return super().decode(buf, out).astype(np.int64)


class OtherChunk(Plain):
    story = "in the tensor"

    def decode_chunk(self, buf, index):
        return super().decode_chunk(buf, index) + 1


def of(cls, tmp_path: Path, monkeypatch, inputs=300) -> campaign.Campaign:
    monkeypatch.setattr(campaign, "make", lambda spelled: cls())
    found = campaign.Campaign(cls.__name__, inputs, timeout_s=1, out=tmp_path, most=1)
    found.run()
    return found


@pytest.mark.parametrize("cls", Plain.__subclasses__())
def test_it_finds(cls, tmp_path, monkeypatch):
    found = of(cls, tmp_path, monkeypatch)
    assert found.findings
    assert cls.story in found.findings[0]
    (saved,) = tmp_path.glob("*.bin")
    index = int(saved.stem.rpartition("-")[2])
    again = mutator.mutant(campaign.rng_of(0, index), mutator.seeds(cls()))
    assert saved.read_bytes() == again
    assert f"--only {index}" in saved.with_suffix(".txt").read_text()


def test_it_finds_what_is_never_given_back(tmp_path, monkeypatch):
    class Leaks(Plain):
        kept: ClassVar[list[np.ndarray]] = []

        def misbehave(self):
            self.kept.append(np.ones(1 << 14))  # 128 KiB
            raise ValueError("tables")

    found = of(Leaks, tmp_path, monkeypatch, inputs=2500)
    assert any("the process grew" in finding for finding in found.findings)


@pytest.mark.parametrize("cls", [Plain, Pack])
def test_it_finds_nothing_where_nothing_is(cls, tmp_path, monkeypatch):
    found = of(cls, tmp_path, monkeypatch, inputs=500)
    assert found.findings == []
    assert found.refused + found.accepted == 500
    assert min(found.refused, found.accepted) > 25


def test_mutants_are_the_same_everywhere():
    originals = mutator.seeds(Pack())
    first = [mutator.mutant(campaign.rng_of(3, i), originals) for i in range(50)]
    assert first == [mutator.mutant(campaign.rng_of(3, i), originals) for i in range(50)]
    assert len(set(first)) > 45
    assert decode_limit.get() == 1 << 36


@pytest.mark.thorough
def test_files_are_read_or_refused(tmp_path):
    found = campaign.Campaign(campaign.FILES, 3000, out=tmp_path)
    found.run()
    assert found.findings == []
    assert found.refused + found.accepted == 3000
    assert min(found.refused, found.accepted) > 150


def test_mutants_of_files_do_not_depend_on_those_before():
    files = file_mutator.Files()
    first = [files.mutant(campaign.rng_of(3, i)) for i in range(300)]
    assert first == [files.mutant(campaign.rng_of(3, i)) for i in range(300)]
    assert len(set(first)) > 250
