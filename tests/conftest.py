"""Fixtures that every room may ask for, and the settings of test processes."""

import os
import shutil
import sys
import tempfile
from multiprocessing import util
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several on these cores, as are its children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from slashbench.bench.machine import timing
from tests.helpers.object_store import s3 as s3
from tests.helpers.tiny_checkpoints import checkpoints as checkpoints

# Timing waits for other work on the machine, which it knows by locks in the temporary folder. Each
# test process has a folder of its own, so that none waits for the cells of another.
_ROOT = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # of `tmp_path`
os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="sb-", dir=_ROOT)
Path(tempfile.tempdir).chmod(0o1777)  # for tests of other users
# after the folder that multiprocessing has in it, which is removed at -100
util.Finalize(None, shutil.rmtree, (tempfile.tempdir,), {"ignore_errors": True}, exitpriority=-200)

# How fast a codec is does not matter here, so a tenth of the samples will do.
timing.BUDGET_S /= 10

# Where Python may keep nothing compiled (containers have it so), each of some fifty processes would
# compile all that it imports. What is kept lies in `__pycache__`, beside Numba's.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Properties have fewer examples in the fast tests than elsewhere, and no time limit at all."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        fast = "not slow" in config.option.markexpr
        settings.register_profile("here", max_examples=30 if fast else 100, deadline=None)
        settings.load_profile("here")
