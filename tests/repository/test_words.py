"""One word, one thing: no name of a class or a file stands for two things in the package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for room in ("bench", "codecs", "trainers") for path in (ROOT / room).rglob("*.py")
) + sorted((ROOT / "src" / "slashbench").glob("*.py"))

#: Names of files that several rooms have for the same thing, and what it is.
SHARED = {
    "__init__": "a package",
    "base": "what the entries of a room derive from",
    "catalog": "the registry of a room, an entry a line",
    # A verb of the command parses and prints in commands/; the room of its own does the work.
    "compare": "two results folders compared",
    "compress": "a checkpoint made into a compressed file",
    "fetch": "files of registries brought into the cache",
    "merge": "results folders merged",
    "report": "what is shown of records",
    "speed": "how fast codecs are",
    "tune": "a setting searched on validation data",
    "verify": "a compressed file compared with its original",
    # A board shows in boards/ what analysis/ computes, or reproduce/ studies.
    "equal_accuracy": "sizes at equal accuracy",
    "updates": "files whose decoder is given a base, compared with one another",
    "pareto": "what nothing else is both smaller and faster or better than",
    "history": "a board's figures over releases",
    "code_length": "bits that an entropy coder charges",
    # A codec, its model and its loops stand in codecs/, codecs/modelling/ and codecs/kernels/.
    "exceptions": "values that a table does not hold",
    "generalised_gaussian": "the density of that name",
    "huffman": "the canonical Huffman code, and its plain decoder in reference/",
    "rans": "range asymmetric numeral systems",
}


def test_no_class_name_stands_for_two_things() -> None:
    where = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(str(path.relative_to(ROOT)))
    assert len(where) > 200
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}


def test_no_file_name_stands_for_two_things() -> None:
    where = defaultdict(list)
    for path in FILES:
        where[path.stem].append(str(path.relative_to(ROOT)))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(twice), "SHARED names a file that stands once"
