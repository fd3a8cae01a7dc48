"""The walls of the house: a row for every room, arrows one way, no circle, nothing loose."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("bench", "codecs", "trainers")
VOCABULARY = "vocabulary"  # src/slashbench: what every room may import
FACE = "slashbench"  # its __init__: what users import, and no room does

#: Each room, and the rooms it may import from besides itself and the vocabulary.
ROOMS: dict[str, tuple[str, ...]] = {
    "bench": ("bench/commands",),
    "bench/checkpoint": (
        "bench/machine",
        "codecs",
        "codecs/families",  # delta_codec, which sees the base
        "codecs/stream",
        "trainers",
    ),
    "bench/commands": (
        "bench/checkpoint",
        "bench/conformance",
        "bench/data",
        "bench/doctor",
        "bench/engines",
        "bench/formats",
        "bench/machine",
        "bench/models",
        "bench/pipeline",
        "bench/plan",
        "bench/report",
        "bench/report/analysis",
        "bench/report/boards",
        "bench/report/data",
        "bench/report/output",
        "bench/reproduce",
        "bench/reproduce/backslash",
        "bench/speed",
        "bench/store",
        "bench/submission",
        "codecs",
        "trainers",
    ),
    "bench/conformance": ("bench/machine", "bench/pipeline", "codecs", "codecs/stream"),
    "bench/data": ("bench/machine",),
    "bench/doctor": (
        "bench/data",
        "bench/machine",
        "bench/models",
        "codecs",
        "codecs/kernels",
    ),
    "bench/engines": ("bench/machine", "bench/pipeline", "bench/plan", "bench/store"),
    "bench/formats": ("bench/checkpoint",),
    "bench/machine": ("codecs",),
    "bench/models": ("bench/data",),
    "bench/models/external": (
        "bench/checkpoint",
        "bench/data",
        "bench/formats",
        "bench/models",
    ),
    "bench/pipeline": (
        "bench/checkpoint",
        "bench/machine",
        "bench/plan",
        "bench/store",
        "codecs",
        "trainers/numerics",
        "trainers/training",
    ),
    "bench/notebook": (
        "bench/commands",
        "bench/engines",
        "bench/pipeline",
        "bench/plan",
        "bench/report/data",
        "bench/store",
    ),
    "bench/plan": ("bench/models", "bench/models/external", "codecs", "trainers"),
    "bench/report": ("bench/checkpoint", "bench/formats"),
    "bench/report/analysis": ("bench/report", "bench/report/data"),
    "bench/report/boards": ("bench/report", "bench/report/analysis", "bench/report/data"),
    "bench/report/data": ("bench/report", "bench/store"),
    "bench/report/output": (
        "bench/machine",
        "bench/report",
        "bench/report/analysis",
        "bench/report/boards",
        "bench/report/data",
        "bench/report/output/figures",
        "bench/store",
    ),
    "bench/report/output/figures": (
        "bench/report",
        "bench/report/analysis",
        "bench/report/boards",
        "bench/report/data",
        "trainers/numerics",
    ),
    "bench/reproduce": (
        "bench/machine",
        "bench/pipeline",
        "bench/plan",
        "bench/report",
        "bench/report/data",
        "bench/report/output",
        "bench/store",
        "trainers",
    ),
    "bench/reproduce/backslash": (
        "bench/pipeline",
        "bench/plan",
        "bench/report",
        "bench/reproduce",
    ),
    "bench/runtimes": ("bench/formats",),
    "bench/speed": (
        "bench/checkpoint",
        "bench/formats",
        "bench/machine",
        "bench/models",
        "bench/report",
        "bench/report/output",
        "codecs",
        "codecs/stream",
        "trainers/quantisers",
        "trainers/regimes",
        "trainers/training",
    ),
    "bench/store": ("bench/machine",),
    "bench/submission": (
        "bench/models/external",
        "bench/pipeline",
        "bench/plan",
        "bench/report/data",
        "bench/report/output",
        "bench/store",
    ),
    "codecs": ("codecs/families", "codecs/kernels", "codecs/modelling", "codecs/stream"),
    "codecs/cuda": ("codecs", "codecs/families", "codecs/kernels", "codecs/stream"),
    "codecs/families": ("codecs/kernels", "codecs/modelling", "codecs/stream"),
    "codecs/kernels": (),
    "codecs/modelling": ("codecs/kernels", "codecs/stream"),
    "codecs/peers": ("codecs/families", "codecs/stream"),
    "codecs/reference": (),
    "codecs/stream": ("codecs/kernels",),
    FACE: (
        "bench/checkpoint",
        "bench/notebook",
        "bench/runtimes",
        "codecs/stream",
        "trainers",
        "trainers/regimes",
    ),
    "trainers": ("trainers/regimes", "trainers/training"),
    "trainers/numerics": ("trainers/training",),
    "trainers/quantisers": ("trainers/numerics",),
    "trainers/regimes": ("trainers/numerics", "trainers/training"),
    "trainers/training": (),
    "trainers/transforms": ("trainers/numerics", "trainers/quantisers"),
}


def _files() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in (ROOT / "src" / "slashbench").glob("*.py"):
        found["slashbench." + path.stem] = path
    for top in TOP:
        for path in (ROOT / top).rglob("*.py"):
            found["slashbench." + ".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


FILES = _files()


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it: lazy and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


def _room(module: str) -> str:
    if module == FACE:
        return FACE
    folder = FILES[module].relative_to(ROOT).parent.as_posix()
    return VOCABULARY if folder == "src/slashbench" else folder


@functools.cache
def _graph() -> dict[str, set[str]]:
    return {name: {i for i in _imports(path) if i in FILES} for name, path in FILES.items()}


def _circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    assert {_room(name) for name in FILES} - {VOCABULARY} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room: str) -> None:
    allowed = {room, VOCABULARY, *ROOMS[room]}
    wrong = [
        f"{name} imports {other}"
        for name, others in _graph().items()
        if _room(name) == room
        for other in sorted(others)
        if _room(other) not in allowed
    ]
    assert not wrong


def test_no_circle_of_files() -> None:
    assert not _circle(_graph())


def test_no_circle_of_folders() -> None:
    """What rooms import, not what they may."""
    rooms: dict[str, set[str]] = {}
    for name, others in _graph().items():
        rooms.setdefault(_room(name), set()).update(
            _room(other) for other in others if _room(other) != _room(name)
        )
    assert not _circle(rooms)


def test_nothing_lies_loose() -> None:
    assert {path.name for path in (ROOT / "bench").glob("*.py")} <= {"__init__.py", "cli.py"}
    assert {path.name for path in (ROOT / "trainers").glob("*.py")} <= {
        "__init__.py",
        "catalog.py",
        "huggingface.py",
        "recipe.py",
    }


def test_the_vocabulary_knows_no_room() -> None:
    for name, others in _graph().items():
        if _room(name) == VOCABULARY:
            assert {_room(other) for other in others} <= {VOCABULARY}, name


def test_codecs_has_no_init() -> None:
    """With one, `codecs` at the root shadows the standard library's module of that name."""
    assert not (ROOT / "codecs" / "__init__.py").exists()


def test_codecs_and_reports_import_no_torch() -> None:
    program = (
        "import sys\n"
        "from slashbench.codecs.catalog import CODECS\n"
        "assert [CODECS.get(name) for name in CODECS.available()]\n"
        "import slashbench.bench.pipeline.fresh_decode, slashbench.bench.report.output.terminal\n"
        "assert not {'torch', 'numba.cuda', 'slashbench.codecs.cuda'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_unpickles() -> None:
    for path in FILES.values():
        text = path.read_text(encoding="utf-8")
        assert not {"pickle", "dill", "joblib"} & set(_imports(path)), path
        loads = len(re.findall(r"(?<!safetensors\.)torch\.load\(", text))
        assert loads == text.count("weights_only=True"), path
