"""One step of one tool in a process of its own, which says in JSON how long it took.

    python -m slashbench.bench.speed.file_worker TOOL save|restore FROM TO

Seconds are those of the step; the process's own, which begin with Python's start, are taken by who
started it. The memory is the most that the process ever held, its libraries included.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from slashbench.bench.machine import heap
from slashbench.bench.speed.file_tools import TOOLS


def main() -> None:
    """Run the step."""
    name, step, before, after = sys.argv[1:]
    tool = TOOLS[name]
    begin = time.perf_counter()
    (tool.save if step == "save" else tool.restore)(Path(before), Path(after))
    seconds = time.perf_counter() - begin
    most = heap.peak_rss_bytes() or 0  # 0 where the system can't tell
    print(json.dumps({"seconds": seconds, "peak_kib": most // 1024}))


if __name__ == "__main__":
    main()
