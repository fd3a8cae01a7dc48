"""Text is UTF-8 wherever it is read or written: no locale changes what a file says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for top in ("bench", "codecs", "trainers", "src/slashbench")
    for path in (ROOT / top).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)
OPENERS = {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "TextIOWrapper"}


#: Calls that open what holds bytes, whatever their mode.
BINARY = {"os.open", "archive.open", "tarfile.open", "wave.open", "lzma.open"}


def lacking(source: str) -> Iterator[int]:
    """Lines that read or write text in the encoding of whoever runs them."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        modes = [ast.literal_eval(a) for a in node.args if isinstance(a, ast.Constant)]
        modes += [a.value for a in given.values() if isinstance(a, ast.Constant)]
        children = {"run", "Popen", "check_output", "check_call", "call"}
        texts = name in children and {"text", "universal_newlines"} & given.keys()
        opens = name in OPENERS and not any(isinstance(m, str) and "b" in m for m in modes)
        binary = name in {"NamedTemporaryFile", "TemporaryFile"} and "mode" not in given
        method = isinstance(node.func, ast.Attribute)
        system = method and ast.unparse(node.func) in BINARY
        method_of_path = method and name in {"read_text", "write_text"}
        text = method_of_path or texts or (opens and not binary)
        if text and not system and "encoding" not in given:
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("path.read_text()", [1]),
        ("path.write_text('a')", [1]),
        ("open(path)", [1]),
        ("path.open('w')", [1]),
        ("subprocess.run(a, text=True)", [1]),
        ("path.open('rb')\nos.open(path, 1)\ntempfile.TemporaryFile()", []),
        ("path.read_text(encoding='utf-8')\nsubprocess.run(a, text=True, encoding='utf-8')", []),
    ],
)
def test_the_search_finds_them(source: str, lines: list[int]) -> None:
    assert list(lacking(source)) == lines


def test_every_text_says_its_encoding() -> None:
    assert len(SOURCES) > 200
    found = {
        path.relative_to(ROOT).as_posix(): list(lacking(path.read_text(encoding="utf-8")))
        for path in SOURCES
    }
    assert {path: lines for path, lines in found.items() if lines} == {}
