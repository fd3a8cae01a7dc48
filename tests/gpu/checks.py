"""All that needs a GPU, in one run of at most eight minutes; README.md beside this file.

python -m tests.gpu.checks [--plan] [--only CASES] [--device DEVICE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from slashbench import __version__
from slashbench.bench.machine import atomic_files
from tests.gpu import decoding, ranks, training

LIMIT_S = 460.0  # of eight minutes, with some left for a case that has begun

Case = Callable[[str], dict[str, Any]]


def cases() -> dict[str, Case]:
    """What is done, by name, in this order.

    Speed comes before training, which asks torch for deterministic algorithms: memory is then
    filled before it is used.
    """
    return decoding.exactness() | decoding.speeds() | training.cases() | ranks.cases()


def main(arguments: Sequence[str]) -> int:
    """Run the cases. 0: all is well, 1: something is wrong, 2: there is no such device."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.checks")
    parser.add_argument("--plan", action="store_true", help="list the cases and end")
    parser.add_argument("--only", default="", help="cases whose names begin so")
    parser.add_argument("--device", default="cuda", help="of torch (default: cuda)")
    chosen = parser.parse_args(arguments)
    wanted = {name: case for name, case in cases().items() if name.startswith(chosen.only)}
    if chosen.plan:
        print(json.dumps({"limit_s": LIMIT_S, "cases": list(wanted)}, indent=1))
        return 0
    if chosen.device != "cpu" and not torch.cuda.is_available():
        print("torch finds no CUDA device: --plan says what would be done", file=sys.stderr)
        return 2
    report: dict[str, Any] = {"machine": _machine(chosen.device), "cases": {}}
    began = time.monotonic()
    for name, case in wanted.items():
        report["cases"][name] = _row(case, chosen.device, began)
        report["seconds"] = round(time.monotonic() - began, 1)
        _keep(report)
    print(json.dumps(report, indent=1))
    return int(any("error" in row for row in report["cases"].values()))


def _row(case: Case, device: str, began: float) -> dict[str, Any]:
    start = time.monotonic()
    if start - began > LIMIT_S:
        return {"error": "out of time"}
    try:
        row = case(device)
    except Exception:  # one that fails must not cost the others
        row = {"error": traceback.format_exc(limit=-6)}
    return row | {"seconds": round(time.monotonic() - start, 2)}


def _machine(device: str) -> dict[str, Any]:
    found = {
        "slashbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
    }
    if device == "cpu":
        return found
    properties = torch.cuda.get_device_properties(device)
    from numba import cuda

    return found | {
        "gpu": properties.name,
        "gpu_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "numba.cuda": getattr(cuda, "implementation", ""),
    }


def _keep(report: dict[str, Any]) -> None:
    if folder := os.environ.get("OUT"):
        text = json.dumps(report, indent=1) + "\n"
        atomic_files.write_atomically(Path(folder) / "gpu.json", text.encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
