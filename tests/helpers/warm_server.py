"""Forks processes of the command from one that has imported its libraries, which takes seconds.

Each is a process like any other: with its own environment, streams, folder, group and exit code.
What Python settles when it starts is the server's: `sys.flags`, `sitecustomize`, OpenMP's threads.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from typing import Any, NoReturn

#: What `bench run` imports, but nothing that reads the environment then (Dask), nor a registry's
#: entries: a process finds its own plug-ins.
IMPORTED = (
    "torch", "torch._dynamo", "scipy.stats", "numba", "sklearn.datasets", "altair",
    "pyarrow.parquet", "blosc2", "rich.console", "rich.progress", "jinja2",
    "slashbench.bench.pipeline.stages", "slashbench.bench.report.output.export",
    "slashbench.bench.cli",
)  # fmt: skip
MESSAGE = 1 << 17


def serve(channel: socket.socket) -> None:
    """Fork as asked until the other end of the channel is closed."""
    for name in IMPORTED:
        with contextlib.suppress(ImportError):  # an extra that is missing is missed in time
            importlib.import_module(name)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is channel:
                message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE, 4)
                if not message:
                    return
                status = descriptors.pop()
                pid = os.fork()
                if not pid:
                    _run(json.loads(message), descriptors, status)
                for descriptor in descriptors:
                    os.close(descriptor)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
            else:
                pid, status = key.data
                _, code = os.waitpid(pid, 0)
                selector.unregister(key.fileobj)
                os.close(key.fd)
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
                os.close(status)


def _run(asked: dict[str, Any], descriptors: list[int], status: int) -> NoReturn:
    """Become the process that was asked for."""
    code = 1
    try:
        if asked["new_session"]:
            os.setsid()
        os.write(status, b"%d\n" % os.getpid())
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)
        if asked["umask"] >= 0:
            os.umask(asked["umask"])
        # As at a terminal, even where the tests were started with `nohup` or `&`.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        tempfile.tempdir = None
        paths = [asked["cwd"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        sys.path[:] = list(dict.fromkeys([*filter(None, paths), *sys.path]))
        sys.argv = ["bench", *asked["arguments"]]
        importlib.invalidate_caches()
        for name, number, mode in [("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")]:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        from slashbench.bench import cli

        cli.main(asked["arguments"])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            _finish()
        os._exit(code)


def _finish() -> None:
    """Do what the interpreter does at its end."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
