"""Who works and who times alone, among all processes and users of a machine."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slashbench.bench.machine import locks, timing
from slashbench.errors import StageBusy

two_users = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user"
)

#: Another process, of another user if it is given one, which holds a lock until its input ends.
OTHER = """
import os, sys
from slashbench.bench.machine import locks
from slashbench.errors import StageBusy
import ctypes, filelock, socket, sqlite3
filelock.ReadWriteLock, filelock.FileLock  # imports what another user may not read
if sys.argv[2]:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
os.umask(0o077)
print("started", flush=True)
try:
    with getattr(locks, sys.argv[1])():
        print("in", flush=True)
        sys.stdin.read()
except StageBusy:
    print("busy", flush=True)
"""


@pytest.fixture(autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder that all users share, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="slashbench-test-"))
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@contextmanager
def other(lock: str, user: int | str = "") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, lock, str(user)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    try:
        yield process
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


users = pytest.mark.parametrize("user", ["", pytest.param(65534, marks=two_users)])


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users of POSIX")
def test_a_link_in_place_of_the_locks_opens_no_folder_to_others(shared: Path) -> None:
    (private := shared / "private").mkdir(mode=0o700)
    (shared / f"slashbench-locks-{os.getuid()}").symlink_to(private)
    with locks.at_work():
        assert private.stat().st_mode & 0o777 == 0o700


@users
def test_no_one_times_while_another_works(user: int | str) -> None:
    with locks.undisturbed():
        pass
    with other("at_work", user) as worker:
        assert said(worker) == "in"
        with pytest.raises(StageBusy, match="work on this machine"), locks.undisturbed():
            pass
        with locks.at_work():
            pass
    with locks.undisturbed():
        assert timing.time_alone(lambda: None, budget_s=0.01).wall_ns


@users
def test_no_one_starts_to_work_while_another_times(user: int | str) -> None:
    with other("at_work", user) as worker:  # this user is known on the machine
        assert said(worker) == "in"
    with locks.undisturbed():
        with other("undisturbed", user) as timer:
            assert said(timer) == "busy"
        waiting = other("at_work", user)
        worker = waiting.__enter__()
        assert not select.select([worker.stdout], [], [], 0.5)[0]
    assert said(worker) == "in"
    waiting.__exit__(None, None, None)


@two_users
@pytest.mark.parametrize("lock", ["alone", "at_work", "undisturbed"])
def test_the_locks_of_one_user_stop_no_other(lock: str) -> None:
    for each in (locks.alone, locks.at_work, locks.undisturbed):
        with each():
            pass
    for user in (65534, 65533):
        with other(lock, user) as second:
            assert said(second) == "in"


def test_a_lock_that_cant_be_opened_counts_as_one_at_work(shared: Path) -> None:
    for name in ("machine", "timing", "seen"):
        (shared / f"slashbench-locks-{os.getuid()}" / f"{name}.lock").mkdir(parents=True)
    with locks.at_work(), locks.alone():
        pass
    with pytest.raises(StageBusy, match="can't tell"), locks.undisturbed():
        pass


def test_another_users_lock_that_cant_be_read_counts_as_one_at_work(shared: Path) -> None:
    (shared / "slashbench-locks-another").mkdir()
    with locks.undisturbed():  # they hold nothing
        pass
    (shared / "slashbench-locks-another" / "seen.lock").symlink_to("nowhere")
    with pytest.raises(StageBusy, match="another user"), locks.undisturbed():
        pass
