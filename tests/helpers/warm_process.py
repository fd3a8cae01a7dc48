"""A process of the command, forked from a server that has imported what it needs."""

from __future__ import annotations

import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

#: Whether there can be one here; elsewhere processes of the command start Python.
POSSIBLE = sys.platform == "linux"

_START_S = 280.0  # the server imports torch first, on a machine that may be busy
_ROOT = Path(__file__).parents[2]
_one_at_a_time = threading.Lock()


@functools.cache
def _server() -> socket.socket:
    """The channel to the server, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.warm_server", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for who runs the tests
    )
    theirs.close()
    return ours


class WarmProcess:
    """As `subprocess.Popen` of the command: `stdout` is what it reads of a pipe, if it has one."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        umask: int = -1,
        start_new_session: bool = False,
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._reader: threading.Thread | None = None
        self._rest = ""
        pipe = None
        if stdout == subprocess.PIPE:
            reader, pipe = os.pipe()
            self.stdout = open(reader, encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123
            stdout = pipe
        if stderr == subprocess.STDOUT:
            stderr = stdout
        asked = {
            "arguments": self.args,
            "cwd": str(Path(cwd or ".").absolute()),
            "env": dict(os.environ if env is None else env),
            "umask": umask,
            "new_session": start_new_session,
        }
        nothing = os.open(os.devnull, os.O_RDWR)
        streams = [
            number if stream is None else nothing if stream == subprocess.DEVNULL else stream
            for number, stream in enumerate((stdin, stdout, stderr))
        ]
        told, telling = os.pipe()
        with _one_at_a_time:
            socket.send_fds(_server(), [json.dumps(asked).encode()], [*streams, telling])
        for descriptor in (nothing, telling, pipe):
            if descriptor is not None:
                os.close(descriptor)
        self._told = open(told, "rb", buffering=0)  # noqa: SIM115, PTH123
        self._heard = b""
        if not self._hear(_START_S):
            raise TimeoutError(f"no process in {_START_S} s")
        self.pid = int(self._heard.split()[0])

    def _hear(self, timeout: float) -> bool:
        """Read what comes within a time; False where nothing does."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._told, selectors.EVENT_READ)
            if not selector.select(timeout):
                return False
        said = self._told.read(64)
        self._heard += said or b" -9"  # the server was killed
        return True

    def poll(self) -> int | None:
        while self.returncode is None and len(self._heard.split()) < 2:
            if not self._hear(0):
                return None
        self.returncode = int(self._heard.split()[1])
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if not self._hear(max(0.0, deadline - time.monotonic())):
                raise subprocess.TimeoutExpired(self.args, timeout)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        """(the rest of its output, nothing), when it and all that hold the pipe have ended."""
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout)
        return self._rest, None

    def _read(self) -> None:
        assert self.stdout is not None
        self._rest = self.stdout.read()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
