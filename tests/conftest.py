"""Modules that tests share are imported by name; other processes import the broken codecs too."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
SHARED = ("contract", "fuzz", "trainers", "compressed", "report", "reproduce", "engines")
sys.path[:0] = [str(HERE / name) for name in SHARED]
