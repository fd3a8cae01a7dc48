"""Doctests import each module under its own name: under another, numba compiles it anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

COLLECTING = """
import sys
import pytest

code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]])
ours = {
    name: module.__file__
    for name, module in list(sys.modules.items())
    if "/src/slashbench/" in (getattr(module, "__file__", None) or "")
}
assert any(name.startswith("slashbench.codecs.") for name in ours)
wrong = [name for name in ours if name.partition(".")[0] != "slashbench"]
sys.exit(f"imported under another name: {wrong}" if wrong else 0)
"""


def test_no_module_is_imported_under_two_names() -> None:
    folders = ["codecs/stream", "codecs/zstd.py", "trainers/recipe.py"]
    done = subprocess.run(
        [sys.executable, "-c", COLLECTING, *(f"src/slashbench/{name}" for name in folders)],
        cwd=ROOT, env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
