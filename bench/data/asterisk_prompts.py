"""Voice prompts of the Asterisk telephone exchange: human speech, with what is said."""

from __future__ import annotations

import gzip
import io
import tarfile
import wave
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.bench.data.asset_catalog import ASTERISK_PROMPTS
from slashbench.bench.data.base import Dataset
from slashbench.bench.data.splits import Part, part_of
from slashbench.digest import sha256_of
from slashbench.errors import CorruptFile

RATE = 16_000  # Hz, to which the prompts' 8 kHz are raised
_TEXTS = "./usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
_SOUNDS = "./usr/share/asterisk/sounds/en_US_f_Allison/"
_FEWEST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said, and its sound: float32 in [-1, 1] at 16 kHz."""

    text: str
    sound: npt.NDArray[np.float32]


class AsteriskPrompts(Dataset):
    """Prompts of four words or more, one speaker, by hash of their text in three parts."""

    source: ClassVar[str] = "Asterisk core sounds, English, 1.6.1 (Allison Smith)"
    licence: ClassVar[str] = ASTERISK_PROMPTS.licence

    def prompts(self, part: Part) -> list[Prompt]:
        """Return the prompts of a part; four tenths validate, four tenths test."""
        return [p for p in self._all if part_of(p.text.encode(), 40, 40) == part]

    @cached_property
    def _all(self) -> list[Prompt]:
        """Every text once, in order of names."""
        from scipy.signal import resample_poly  # half a second to import

        texts = self._texts()
        found: dict[str, Prompt] = {}
        with tarfile.open(ASTERISK_PROMPTS.path("sounds.tar")) as archive:
            for entry in sorted(archive, key=lambda entry: entry.name):
                name = entry.name.removeprefix(_SOUNDS).removesuffix(".wav")
                text = texts.get(name, "")
                if entry.isfile() and text and text not in found:
                    source = archive.extractfile(entry)
                    assert source is not None
                    sound = resample_poly(_samples(entry.name, source.read()), 2, 1)
                    found[text] = Prompt(text, sound.astype(np.float32))
        return list(found.values())

    def _texts(self) -> dict[str, str]:
        """Name of a sound -> what it says; stage directions stand in brackets and are left out."""
        try:
            with tarfile.open(ASTERISK_PROMPTS.path("texts.tar")) as archive:
                member = archive.extractfile(_TEXTS)
                assert member is not None
                lines = gzip.decompress(member.read()).decode("utf-8", "replace").splitlines()
        except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
            raise CorruptFile(f"the texts of the Asterisk prompts are damaged: {error}") from error
        pairs = (line.partition(":") for line in lines if not line.startswith(";"))
        return {
            name.strip(): text.strip()
            for name, _, text in pairs
            if not {"[", "("} & set(text) and len(text.split()) >= _FEWEST_WORDS
        }

    def sha256(self) -> str:
        """Hash of the hashes of both packages' files, each of which is pinned."""
        return sha256_of(sorted(ASTERISK_PROMPTS.sha256.items()))


def _samples(name: str, data: bytes) -> npt.NDArray[Any]:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) != (1, 2, 8000):
                raise CorruptFile(f"{name} is not 16-bit mono at 8 kHz")
            raw = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise CorruptFile(f"{name} is damaged: {error}") from error
    return np.frombuffer(raw, "<i2") / 32768.0
