"""Leases: one holder at a time, the dead and the late are taken over from."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from slashbench.bench.machine.process_identity import ProcessIdentity
from slashbench.bench.store import backends, leases
from slashbench.bench.store.leases import Lease, Leases
from slashbench.errors import StageBusy

KEY = "ab" * 32

HOLD = """
import sys, time
from slashbench.bench.store import backends
from slashbench.bench.store.leases import Leases
with Leases(backends.at(sys.argv[1])).hold(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the lease of KEY."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), KEY], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_what_another_process_holds_is_not_had(tmp_path: Path) -> None:
    other = holding(tmp_path)
    try:
        with pytest.raises(StageBusy, match=f"process {other.pid}"):  # noqa: SIM117
            with Leases(backends.at(tmp_path)).hold(KEY):
                pass
    finally:
        other.kill()
        other.wait()


def test_a_dead_holder_is_taken_over_from_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    other = holding(tmp_path)
    other.kill()
    other.wait()
    with Leases(backends.at(tmp_path)).hold(KEY):
        assert len(list(backends.at(tmp_path).names(leases.FOLDER))) == 2
    assert list(backends.at(tmp_path).names(leases.FOLDER)) == []


def test_the_dead_are_swept_and_the_living_are_not(tmp_path: Path) -> None:
    dead = holding(tmp_path)
    dead.kill()
    dead.wait()
    mine = Leases(backends.at(tmp_path))
    with mine.hold("cd" * 32):
        Leases(backends.at(tmp_path)).sweep()
        assert list(backends.at(tmp_path).names(leases.FOLDER)) == [f"leases/{'cd' * 32}.0"]


def test_a_holder_on_another_machine_is_believed_until_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own machine can see that it is dead."""
    files = backends.at(tmp_path)
    monkeypatch.setattr(leases, "TTL_S", 0.5)
    elsewhere = Lease(ProcessIdentity(host="x", machine="node7", pid=1, started=1), 9e9)
    files.write(f"leases/{KEY}.0", leases.msgspec.json.encode(elsewhere))
    with pytest.raises(StageBusy, match="node7"), Leases(files).hold(KEY):
        pass
    late = Lease(elsewhere.holder, 1.0)
    files.write(f"leases/{KEY}.0", leases.msgspec.json.encode(late))
    with Leases(files).hold(KEY):
        pass


def test_a_lease_is_renewed_for_as_long_as_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    files = backends.at(tmp_path)
    renewed = threading.Event()
    with Leases(files).hold(KEY):
        first = files.read(f"leases/{KEY}.0")
        for _ in range(200):
            if files.read(f"leases/{KEY}.0") != first:
                renewed.set()
                break
            renewed.wait(0.05)
    assert renewed.is_set()


def stopped_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process finds when it goes on: all its leases have run out."""
    now = time.time() + leases.TTL_S + 1
    monkeypatch.setattr(leases.time, "time", lambda: now)


def test_a_lease_that_ran_out_goes_on_where_no_other_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = backends.at(tmp_path)
    mine = Leases(files)
    with mine.hold(KEY) as held:
        stopped_for_long(monkeypatch)
        held.confirm()
        mine.check()
        with pytest.raises(StageBusy), Leases(files).hold(KEY):
            pass
    assert list(files.names(leases.FOLDER)) == []


@pytest.mark.parametrize("successor", ["at work", "done"])
def test_a_lease_that_was_taken_over_is_neither_renewed_nor_dropped(
    successor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = backends.at(tmp_path)
    late, other, third = (Leases(files) for _ in range(3))
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(late.hold(KEY))
        stopped_for_long(monkeypatch)
        with contextlib.ExitStack() as theirs:
            theirs.enter_context(other.hold(KEY))
            if successor == "done":
                theirs.close()
                theirs.enter_context(third.hold(KEY))
            before = {name: files.read(name) for name in files.names(leases.FOLDER)}
            held.renew()
            for check in (held.confirm, late.check):
                with pytest.raises(StageBusy, match="while this one was stopped"):
                    check()
            stack.close()
            assert {name: files.read(name) for name in files.names(leases.FOLDER)} == before
            other.check()
            third.check()
    assert list(files.names(leases.FOLDER)) == []


def test_of_many_who_take_over_one_alone_does(tmp_path: Path) -> None:
    """Twenty threads go for the lease of a dead process, again and again."""
    files = backends.at(tmp_path)
    inside = Counter[str]()
    seen: list[int] = []

    def contend() -> None:
        mine = Leases(files)
        for _ in range(20):
            try:
                with mine.hold(KEY):
                    inside["now"] += 1
                    seen.append(inside["now"])
                    inside["now"] -= 1
            except StageBusy:
                pass

    dead = holding(tmp_path)
    dead.kill()
    dead.wait()
    threads = [threading.Thread(target=contend) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen
    assert set(seen) == {1}
