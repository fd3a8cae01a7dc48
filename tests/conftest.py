"""Fixtures that every room may ask for, and the settings of test processes."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several on these cores, as are its children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.helpers.object_store import s3 as s3
