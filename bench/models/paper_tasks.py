"""The tasks of the BackSlash paper: texts with classes, and prompts with answers to write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slashbench.bench.data.splits import part_of
from slashbench.contracts import Split
from slashbench.digest import sha256_of
from slashbench.errors import CorruptFile, MissingDependency

VARIABLE = "SLASHBENCH_PAPER"  # a folder with models/NAME and data/NAME, in place of the hub
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PaperTask:
    """One task.

    Attributes
    ----------
    repository, subset, test
        On the hub, and the name of the part that is tested on there.
    classes
        How many; 0 where an answer is written.
    read
        Row -> text and class, or prompt and answer.
    """

    name: str
    repository: str
    subset: str | None
    test: str
    classes: int
    read: Callable[[Row], tuple[str, Any]]


def _classified(row: Row) -> tuple[str, int]:
    return str(row["text"]), int(row["label"])


def _answered(row: Row) -> tuple[str, str]:
    answers = row["answers"]["text"]
    return f"{row['context']}\nQuestion: {row['question']}\nAnswer:", f" {answers[0]}"


def _translated(row: Row) -> tuple[str, str]:
    pair = row["translation"]
    return f"German: {pair['de']}\nEnglish:", f" {pair['en']}"


TASKS = {
    task.name: task
    for task in (
        PaperTask("imdb", "stanfordnlp/imdb", None, "test", 2, _classified),
        PaperTask("enron", "SetFit/enron_spam", None, "test", 2, _classified),
        PaperTask("newsgroups", "SetFit/20_newsgroups", None, "test", 20, _classified),
        PaperTask("squad", "rajpurkar/squad", None, "validation", 0, _answered),
        PaperTask("wmt19", "wmt/wmt19", "de-en", "validation", 0, _translated),
    )
}


def why_not(task: PaperTask) -> str:
    """Return why a task's data can't be read here, and what to do; empty where they can."""
    import importlib.util

    if importlib.util.find_spec("datasets") is None:
        return "datasets is not here: pip install 'slashbench[paper]'"
    try:
        _rows(task, task.test)
    except MissingDependency as error:
        return str(error)
    return ""


def examples(task: PaperTask, split: Split) -> list[tuple[str, Any]]:
    """Return the examples of a split, each text once, and none that another split has.

    The test part is the one of the data set; of the training part a twentieth validates, by hash.
    Raises MissingDependency and CorruptFile.
    """
    held_out = _unique(task, task.test, set())
    if split == "test":
        return held_out
    rest = _unique(task, "train", {text for text, _ in held_out})
    return [pair for pair in rest if part_of(pair[0].encode(), 5, 0) == split]


def sha256(task: PaperTask) -> str:
    """Return a hash of what the test part says: the data are pinned by no revision."""
    return sha256_of([f"{text}\0{wanted}" for text, wanted in examples(task, "test")])


def _unique(task: PaperTask, part: str, seen: set[str]) -> list[tuple[str, Any]]:
    found = []
    for row in _rows(task, part):
        try:
            text, wanted = task.read(row)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise CorruptFile(f"a row of {task.name} is of another kind: {error!r}") from error
        if text not in seen:
            seen.add(text)
            found.append((text, wanted))
    return found


def _rows(task: PaperTask, part: str) -> Any:
    """Return the rows of a part: of a folder with train.jsonl and so on, or of the hub's cache."""
    import datasets  # seconds to import

    if base := os.environ.get(VARIABLE):
        file = Path(base) / "data" / task.name / f"{part}.jsonl"
        if not file.is_file():
            raise MissingDependency(f"{file} is not there; without {VARIABLE} the hub has it")
        try:
            return datasets.load_dataset("json", data_files=str(file), split="train")
        except Exception as error:  # of many kinds, for a file that is no JSON, or of odd rows
            raise CorruptFile(f"{file} can't be read: {error}") from error
    offline = datasets.DownloadConfig(local_files_only=True)
    try:
        return datasets.load_dataset(
            task.repository, task.subset, split=part, download_config=offline
        )
    except Exception as error:  # whatever its network layer raises
        subset = f", {task.subset!r}" if task.subset else ""
        line = f"datasets.load_dataset({task.repository!r}{subset})"
        raise MissingDependency(
            f'{task.name} is not in the hub\'s cache: python -c "import datasets; {line}"'
        ) from error
