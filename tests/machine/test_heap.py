"""Memory that is freed stays with the process, where it is told so."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from slashbench.bench.machine import heap

if sys.argv[1] == "kept":
    heap.keep()
bytearray(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    run = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heap of glibc")
def test_freed_memory_is_not_waited_for_again() -> None:
    assert page_faults("as it is") > 1000
    assert page_faults("kept") < 100
