"""Modules that tests share are imported by name; other processes import the broken codecs too."""

import os
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several on these cores, as are its children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parent
SHARED = ("contract", "fuzz", "trainers", "compressed", "report", "reproduce", "engines")
sys.path[:0] = [str(HERE / name) for name in SHARED]
