"""`bench run --jobs 2`: real worker processes, and what can happen to them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from slashbench.bench.engines import dask_engine
from slashbench.bench.store.store import Store
from slashbench.record import TimeRecord
from tests.helpers.engine_lab import (
    CODECS,
    IMPATIENT,
    cells,
    comparable,
    environment,
    holders,
    run,
    shared_by_two_drivers,
    start,
    wait_for,
)

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
    pytest.mark.thorough,
]


def contents(out: Path) -> dict[str, bytes]:
    """What a store holds, leases and snapshots included; not its boards."""
    kept = ("records", "artifacts", "leases", "training")
    return {str(p): p.read_bytes() for f in kept for p in (out / f).rglob("*") if p.is_file()}


@dataclass(frozen=True)
class Shared:
    """What two worker processes made, and what they said."""

    out: Path
    code: int
    said: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A run with a model that no worker has the memory for."""
    out = tmp_path_factory.mktemp("shared")
    models = f"{SMALL[0]},trouble:greedy=true"
    return Shared(out, *run(models, *SMALL[1:], "--jobs=2", f"--out={out}"))


SMALL = [
    "--models=digits-mlp:steps=30", "--recipes=plain,plain+prune:sparsity=0.5",
    "--codecs=pack,huffman,entropy", "--seeds=0..1",
]  # fmt: skip


def test_two_processes_make_the_records_of_one(shared: Shared, tmp_path: Path) -> None:
    code, alone = run(*SMALL, "--jobs=0", f"--out={tmp_path}")
    assert code == 0, alone
    assert shared.said.count("train digits-mlp") == alone.count("train digits-mlp") == 2
    assert comparable(shared.out) == comparable(tmp_path)
    assert not any(path.is_file() for path in (shared.out / "leases").rglob("*"))
    commands = {point.provenance.command_line for point in Store(shared.out).cells()}
    assert len(commands) == 1
    assert commands.pop().startswith("bench run --models=digits-mlp")


def test_what_no_worker_can_do_is_refused_not_waited_for(shared: Shared) -> None:
    assert shared.code == 1, shared.said
    assert "not run: trouble:greedy=true" in shared.said
    assert "which none here has" in shared.said
    assert {cell.model for cell in Store(shared.out).cells()} == {"digits-mlp:steps=30"}


def test_times_say_their_machine_and_were_taken_alone(shared: Shared) -> None:
    times = sorted(Store(shared.out).all(TimeRecord), key=lambda t: t.provenance.measured_at)
    others = [
        r for r in Store(shared.out).every() if r.__struct_config__.tag in ("compress", "evaluate")
    ]
    assert max(r.provenance.measured_at for r in others) <= times[0].provenance.measured_at
    assert len({time.machine for time in times}) == 1


def test_nothing_is_said_of_a_dashboard_that_nobody_wants() -> None:
    """Dask's server of pages starts all the same; its port may be somebody else's."""
    with socket.socket() as taken, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with contextlib.suppress(OSError):  # taken already
            taken.bind(("", 8787))
            taken.listen()
        with dask_engine.local(1, 0):
            pass
    assert not [warning for warning in said if "Port" in str(warning.message)]


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    process = start(
        "run", "--models=trouble:steps=40:pause=0.05", "--recipes=plain", CODECS, "--seeds=0..1",
        "--jobs=2", f"--out={tmp_path}",
    )  # fmt: skip
    victim = wait_for(lambda: holders(tmp_path, 2))[0]
    assert victim != process.pid
    # Dask's own setting makes each large array cost its page faults again.
    started_with = Path(f"/proc/{victim}/environ")
    assert not started_with.exists() or b"MALLOC_TRIM_THRESHOLD_" not in started_with.read_bytes()
    os.kill(victim, signal.SIGKILL)
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    assert {cell.status for cell in cells(tmp_path).values()} == {"ok"}
    assert len(cells(tmp_path)) == 4
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize(
    ("fault", "how", "reason"),
    [
        pytest.param("die", "--retries=1", "died 2 times in a row", marks=pytest.mark.slow),
        pytest.param("hang", "--timeout=20", "ran for more than 20 s", marks=pytest.mark.slow),
        pytest.param("hang-in-c", "--timeout=20", "ran for more than 20 s", marks=pytest.mark.slow),
        pytest.param("refuse", "--retries=1", "RuntimeError: a bug", marks=pytest.mark.slow),
    ],
)
def test_what_keeps_failing_is_a_record_and_stops_nothing_else(
    fault: str, how: str, reason: str, tmp_path: Path
) -> None:
    what = [f"--models=trouble:fault={fault}", "--recipes=plain", CODECS, "--seeds=0..2"]
    code, output = run(*what, "--jobs=2", how, f"--out={tmp_path}")
    assert code == 1, output
    for (seed, _), cell in cells(tmp_path).items():
        assert cell.status == ("failed" if seed == 1 else "ok"), cell.reason
        assert (reason in cell.reason) == (seed == 1)
    assert len(cells(tmp_path)) == 6
    assert "--on-existing failed" in output


@pytest.mark.slow
def test_a_worker_that_dies_once_is_forgiven(tmp_path: Path) -> None:
    code, output = run(
        "--models=trouble:fault=die-once", "--recipes=plain", CODECS, "--seeds=0..1", "--jobs=2",
        f"--out={tmp_path / 'out'}", env=environment(TROUBLE=str(tmp_path / "mark")),
    )  # fmt: skip
    assert (tmp_path / "mark").exists()
    assert code == 0, output


@pytest.mark.slow
def test_a_worker_that_says_nothing_for_long_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Dask's own patience is five minutes; here it would be seconds."""
    code, output = run(
        "--models=trouble:fault=stall", "--recipes=plain", CODECS, "--seeds=1", "--jobs=1",
        "--retries=0", f"--out={tmp_path}",
        env=environment(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="1s"),
    )  # fmt: skip
    assert code == 0, output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit that Dask reads")
def test_a_cell_that_takes_all_memory_is_stopped_alone(tmp_path: Path) -> None:
    import resource

    limit = 1600 << 20  # for two workers
    code, output = run(
        "--models=trouble:fault=grow", "--recipes=plain", CODECS, "--seeds=0..2", "--jobs=2",
        "--retries=0", f"--out={tmp_path}",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_RSS, (limit, limit)),
    )  # fmt: skip
    assert code == 1, output
    assert {seed for (seed, _), c in cells(tmp_path).items() if c.status == "failed"} == {1}
    assert "out of memory" in cells(tmp_path)[1, "pack"].reason


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_along_and_the_next_one_goes_on(tmp_path: Path) -> None:
    command = [
        "run", "--models=trouble:steps=40:pause=0.05", "--recipes=plain", CODECS, "--seeds=0..2",
        "--jobs=2", f"--out={tmp_path / 'killed'}",
    ]  # fmt: skip
    process = start(*command)
    workers = wait_for(lambda: holders(tmp_path / "killed", 2))
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    again = start(*command)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    code, output = run(*command[1:-1], f"--out={tmp_path / 'quiet'}")
    assert code == 0, output
    assert comparable(tmp_path / "killed") == comparable(tmp_path / "quiet")


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(
        "run", "--models=trouble:steps=400:pause=0.05", "--recipes=plain", CODECS, "--seeds=0..3",
        "--jobs=2", f"--out={tmp_path}",
    )  # fmt: skip
    workers = wait_for(lambda: holders(tmp_path, 2))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "The same command resumes the run" in output
    assert "Traceback" not in output
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_two_drivers_share_the_work_and_do_nothing_twice(tmp_path: Path) -> None:
    shared_by_two_drivers(tmp_path)


@pytest.mark.slow
def test_a_driver_that_was_stopped_for_long_leaves_its_work_to_who_took_it_over(
    tmp_path: Path,
) -> None:
    what = [
        "run", "--models=trouble:steps=40:pause=0.05", "--recipes=plain", CODECS, "--seeds=0",
        "--jobs=0", f"--out={tmp_path}",
    ]  # fmt: skip
    late = start(*what, program=("-c", IMPATIENT))
    wait_for(lambda: holders(tmp_path))
    late.send_signal(signal.SIGSTOP)
    code, output = run(*what[1:], program=("-c", IMPATIENT))
    assert code == 0, output
    assert output.count("train trouble") == 1
    made = contents(tmp_path)
    late.send_signal(signal.SIGCONT)
    output, _ = late.communicate(timeout=60)
    assert late.returncode == 0, output
    assert contents(tmp_path) == made
    assert len(cells(tmp_path)) == 2
