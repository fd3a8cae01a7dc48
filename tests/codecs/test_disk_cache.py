"""Codecs work where Numba can't keep machine code: no home, read-only packages, a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import slashbench

PROGRAM = """
import resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # as on a full disk
import numpy as np
from slashbench.codecs.pack import Pack
array = np.arange(-9, 99, dtype=np.int16)
assert np.array_equal(Pack().decode(Pack().encode(array)), array)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the package, whose kernels' `__pycache__` nobody can write to: it is a file."""
    package = Path(slashbench.__file__).parent
    copy = tmp_path / "site" / "slashbench"
    skipped = shutil.ignore_patterns("__pycache__", "bench", "trainers")
    shutil.copytree(package, copy, ignore=skipped)
    (copy / "codecs" / "kernels" / "__pycache__").touch()
    return copy.parent


def use(installed: Path, limit: int = 0) -> None:
    """Encode and decode there, with a home that can't be written to either."""
    (installed / "tmp").mkdir(exist_ok=True)
    home = {"HOME": "/dev/null", "PYTHONPATH": str(installed), "TMPDIR": str(installed / "tmp")}
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LD_LIBRARY_PATH")}
    command = [sys.executable, "-B", "-c", PROGRAM, str(limit)]
    done = subprocess.run(
        command, env=kept | home, cwd=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def kept(installed: Path, suffix: str) -> list[Path]:
    return sorted((installed / "tmp").rglob(f"*{suffix}"))


@pytest.mark.thorough
def test_without_a_home_machine_code_goes_to_the_temporary_folder(installed: Path) -> None:
    use(installed)
    written = {path: path.stat().st_mtime_ns for path in kept(installed, ".nbc")}
    assert written
    (folder,) = (installed / "tmp").glob("slashbench-kernels-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    use(installed)
    assert written == {path: path.stat().st_mtime_ns for path in kept(installed, ".nbc")}


@pytest.mark.thorough
def test_a_folder_that_others_can_write_to_is_not_used(installed: Path) -> None:
    folder = installed / "tmp" / f"slashbench-kernels-{os.geteuid()}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    use(installed)
    assert not kept(installed, ".nbc")


@pytest.mark.thorough
def test_a_full_disk_leaves_no_index_that_leads_to_old_code(installed: Path) -> None:
    use(installed, limit=4096)  # enough for an index, too little for machine code
    assert not kept(installed, ".nbi")
    assert not kept(installed, ".nbc")


@pytest.mark.thorough
def test_damaged_machine_code_is_compiled_again(installed: Path) -> None:
    use(installed)
    for path in (*kept(installed, ".nbi"), *kept(installed, ".nbc")):
        path.write_bytes(path.read_bytes()[:20])
    use(installed)
    use(installed)
    assert min(path.stat().st_size for path in kept(installed, ".nbi")) > 20


_KERNEL = """
import sys
import numpy as np
from slashbench.codecs.pack import Pack
assert Pack().decode(Pack().encode(np.arange(9, dtype=np.int16))).size == 9
assert "scipy.linalg" not in sys.modules
"""
_OTHERS = """
import numba
@numba.njit
def of(a):
    return np.cov(a), np.dot(a, a), np.linalg.inv(a)
assert np.allclose(of(np.eye(3))[1:], np.eye(3))
"""


@pytest.mark.parametrize(
    "program", [_KERNEL, pytest.param(_KERNEL + _OTHERS, marks=pytest.mark.thorough)]
)
def test_a_kernel_leaves_blas_to_those_who_need_it(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)
