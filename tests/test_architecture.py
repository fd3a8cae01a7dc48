"""The walls of the house: arrows one way, and one file that must not exist."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What a room may import of slashbench, besides itself and the shared vocabulary.
ALLOWED = {
    "codecs": (),
    "trainers": (),
    "bench/data": (),
    "bench/models": ("bench.data",),
    "bench/report": (
        "bench.store",
        "bench.files",
        "bench.compressed.contents",
        "trainers.ggd",  # the density that weights are drawn with
    ),
    "bench/reproduce": ("bench.report", "bench.store", "bench.files"),
    "bench/compressed": ("bench.files", "bench.weights", "codecs", "trainers.catalog"),
}
ROOMS = ("bench", "codecs", "trainers")


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_run_one_way(room: str) -> None:
    own = room.replace("/", ".")
    allowed = tuple(f"slashbench.{name}" for name in (own, *ALLOWED[room]))
    for path in (ROOT / room).rglob("*.py"):
        for name in imports(path):
            if name.startswith(tuple(f"slashbench.{other}." for other in ROOMS)):
                assert name.startswith(allowed), f"{path.relative_to(ROOT)} imports {name}"


def test_shared_vocabulary_knows_no_room() -> None:
    for path in (ROOT / "src" / "slashbench").glob("*.py"):
        for name in imports(path):
            assert name.split(".")[1:2] not in [[room] for room in ROOMS], f"{path.name}: {name}"


def test_codecs_has_no_init() -> None:
    """With one, `codecs` at the root shadows the standard library's module of that name."""
    assert not (ROOT / "codecs" / "__init__.py").exists()


def test_codecs_and_reports_import_no_torch() -> None:
    program = (
        "import sys\n"
        "from slashbench.codecs.catalog import CODECS\n"
        "assert [CODECS.get(name) for name in CODECS.available()]\n"
        "import slashbench.bench.pipeline.fresh_decode, slashbench.bench.report.output.terminal\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_unpickles() -> None:
    for room in (*ROOMS, "src/slashbench"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text()
            assert not {"pickle", "dill", "joblib"} & set(imports(path)), path
            assert text.count("torch.load(") == text.count("weights_only=True"), path
