"""Modules that tests share are imported by name; other processes import the broken codecs too."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE / name) for name in ("contract", "fuzz", "trainers", "compressed", "engines")
]
