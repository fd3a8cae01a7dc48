"""A text file as rows of tokens: consecutive ones, held out from each other by split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from slashbench.arrays import Int64s
from slashbench.bench.models.external.spelling import expanded
from slashbench.contracts import Split
from slashbench.errors import UsageError

MOST_BYTES = 8 << 20  # of a text that are read
_LEAST_ROWS = 4
_LEAST_WIDTH = 8
_VALIDATION = 4  # of so many rows, one is for validation


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens (n, width + 1), and the bytes that each of the last `width` of a row stand for."""

    ids: torch.Tensor
    nbytes: Int64s  # (n, width)


def read_text(path: str) -> str:
    """Return the beginning of a UTF-8 file. Raises UsageError where that is none."""
    try:
        with expanded(path).open("rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(raw) - 4 and len(raw) == MOST_BYTES:  # cut within a character
            return raw[: error.start].decode("utf-8")
        raise UsageError(f"{path} is no text in UTF-8: {error}") from error


def read_lines(path: str) -> list[str]:
    """Return the lines that are not empty; of a long file those that are read whole.

    Raises UsageError as `read_text`.
    """
    text = read_text(path).removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").split("\n")  # a line may hold what `splitlines` ends one at
    if len(text.encode()) > MOST_BYTES - 8 and lines[1:]:  # the last one may be cut
        lines.pop()
    return [line for line in lines if line.strip()]


class TextFile:
    """The tokens of a file, tokenised once."""

    def __init__(self, path: str, tokenizer: Any) -> None:
        self.path = path
        text = read_text(path)
        self.ids, self._ends = _tokens(text, tokenizer)

    def rows(self, width: int, split: Split, most: int) -> Rows:
        """Return rows of `width` tokens that follow one token each, evenly spread over the split.

        Of four consecutive rows one is for validation. Raises UsageError for a text that is too
        short.
        """
        if split == "train":
            raise UsageError(f"{self.path} is for evaluation: it has no training data")
        width = min(width, max(_LEAST_WIDTH, (len(self.ids) - 1) // _LEAST_ROWS))
        count = (len(self.ids) - 1) // width
        if count < _LEAST_ROWS:
            raise UsageError(
                f"{self.path} has {len(self.ids)} tokens; a metric needs "
                f"{_LEAST_ROWS * _LEAST_WIDTH + 1} at least, and thousands to mean much"
            )
        chosen = [i for i in range(count) if (i % _VALIDATION == 1) == (split == "validation")]
        kept = np.linspace(0, len(chosen) - 1, min(most, len(chosen))).round().astype(int)
        starts = [chosen[i] * width for i in kept]
        ids = torch.stack([self.ids[start : start + width + 1] for start in starts])
        nbytes = np.stack([np.diff(self._ends[start : start + width + 1]) for start in starts])
        return Rows(ids, nbytes)

    def windows(self, width: int, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return rows of `width + 1` tokens from anywhere. Raises UsageError for a short text."""
        room = len(self.ids) - width - 1
        if room < 1:
            raise UsageError(f"{self.path} has {len(self.ids)} tokens; it needs {width + 2}")
        starts = torch.randint(room, (count, 1), generator=generator)
        return self.ids[starts + torch.arange(width + 1)]


def _tokens(text: str, tokenizer: Any) -> tuple[torch.Tensor, Int64s]:
    """Return all tokens, and the bytes of text up to the end of each."""
    if not getattr(tokenizer, "is_fast", False):  # it does not say where its tokens stand
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ends = np.linspace(0, len(text.encode()), len(ids) + 1).round().astype(np.int64)[1:]
        return torch.tensor(ids), ends
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    sizes = np.array([len(character.encode()) for character in text], np.int64)
    until = np.concatenate([[0], np.cumsum(sizes)])
    last = np.array([end for _, end in found["offset_mapping"]], np.int64)
    return torch.tensor(found["input_ids"]), until[
        np.maximum.accumulate(last)
    ] if last.size else last
