"""README's first command as a new user runs it: time, memory, and the estimate held to the truth.

    python -m tests.speed.main_job [--keep FOLDER]

Clones this repository's HEAD, pastes README's first command into a shell there, and runs it to its
end; then again, with nothing left to do; then the smoke suite. Prints one JSON object. Nothing
else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]


def first_command() -> str:
    """README's first shell block: set up, and run the main job."""
    found = re.search(
        r"```bash\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    return found[1]


class Memory(threading.Thread):
    """Peak of the memory that a process and all below it hold, shared pages counted once.

    Attributes
    ----------
    peak_bytes : int
    held : list of str
        GiB of each process at the peak, the largest first, and how it was called.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self.held: list[str] = []
        self._root = psutil.Process(pid)

    def run(self) -> None:
        """Look twice a second until the process ends."""
        with suppress(psutil.NoSuchProcess):
            while self._root.status() != psutil.STATUS_ZOMBIE:
                held = {}
                for process in [self._root, *self._root.children(recursive=True)]:
                    with suppress(psutil.Error):
                        pss = process.memory_full_info().pss
                        name = " ".join(process.cmdline())[:60]
                        held[f"{pss / 2**30:.2f} GiB, {process.pid}: {name}"] = pss
                if sum(held.values()) > self.peak_bytes:
                    self.peak_bytes = sum(held.values())
                    self.held = sorted(held, key=held.__getitem__, reverse=True)
                time.sleep(0.5)


def timed(command: str, folder: Path, log: Path) -> dict[str, Any]:
    """Run a shell command; its output goes to `log`, too."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        memory = Memory(process.pid)
        memory.start()
        code = process.wait()
    text = log.read_text(encoding="utf-8")
    return {
        "exit_code": code,
        "wall_s": round(time.monotonic() - started, 1),
        "peak_gib": round(memory.peak_bytes / 2**30, 2),
        "held_at_peak": memory.held[:8],
        "said": [line for line in text.splitlines() if " to run, about " in line],
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="clone here, and keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slashbench-main-job-") as temporary:
        folder = options.keep or Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        found = {
            "main_job": timed(first_command(), folder, folder / "first.log"),
            "nothing_to_do": timed(
                ".venv/bin/bench run --models all --codecs all", folder, folder / "again.log"
            ),
            "smoke": timed(
                ".venv/bin/bench run --suite smoke --out smoke", folder, folder / "smoke.log"
            ),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
