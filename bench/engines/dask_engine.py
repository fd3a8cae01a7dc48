"""Run jobs on a Dask cluster: of processes of this machine, or a running one by its address.

Dask brings the processes, starts a worker that died again, gives its job to another one, and keeps
what needs a GPU from where there is none. Results never pass through it: they are in the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from distributed import Client, Future, KilledWorker, Nanny, Scheduler, SpecCluster
from distributed.client import ClosedClientError
from distributed.security import Security
from typing_extensions import override

from slashbench.bench.engines import dask_settings
from slashbench.bench.engines import dask_worker as remote
from slashbench.bench.engines.base import Engine, EngineWatcher, RunContext
from slashbench.bench.engines.jobs import Job, JobOutcome
from slashbench.bench.pipeline import keys
from slashbench.errors import EngineLost, UsageError

_MOMENT_S = 0.2
_LOOK_EVERY_S = 2.0  # for workers that came or went
_START_S = 60.0  # for the first worker to be there
_ABSENT_S = 120.0  # for a worker that can do what waits to come back
_HOST_S = 30.0  # for a machine that something was to be timed on
_KINDS = {"CPU": "cpus", "GPU": "gpus", "MEMORY": "memory_bytes"}  # of Dask's resources


@contextlib.contextmanager
def local(count: int, retries: int) -> Iterator[Client]:
    """Start a cluster of `count` worker processes of this machine, for the context.

    A job whose worker dies is tried `retries` times more. Only this process can talk to it: keys
    made for it are in its memory.
    """
    security = Security.temporary()
    place = {"host": "127.0.0.1", "protocol": "tls://", "security": security}
    scheduler = {
        "port": 0,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",  # its server starts all the same, and on 8787
        "allowed_failures": retries,
        **place,
    }
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask_settings.settings(count):
        cluster = SpecCluster(
            scheduler={"cls": Scheduler, "options": scheduler},
            workers={
                number: {"cls": Nanny, "options": {**options, **place, "silence_logs": "CRITICAL"}}
                for number, options in enumerate(dask_settings.workers(count))
            },
            security=security,
            silence_logs=False,
        )
        try:
            with Client(cluster, security=security, set_as_default=False) as client:
                yield client
        finally:
            _end(cluster)


@contextlib.contextmanager
def running(address: str) -> Iterator[Client]:
    """Connect to a running cluster. Certificates for tls:// are those of Dask's configuration.

    Raises UsageError where nothing answers at the address, or no worker comes within a minute.
    """
    dask_settings.check_address(address, "client")
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise dask_settings.unanswered(address, error) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_START_S)
        except TimeoutError as error:
            raise UsageError(
                f"the scheduler at {address} has no worker; start one: bench worker {address}"
            ) from error
        yield client


def usual_machine(client: Client) -> str:
    """Return the kind of machine that most workers are on."""
    kinds = [place.machine for place in _places(client, None).values()]
    return max(sorted(set(kinds)), key=kinds.count)


class _Absence:
    """How long something that is needed has been away."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._since = limit_s, time.monotonic()

    def too_long(self, present: bool) -> bool:
        """Return whether it has been away for longer than the limit. present: it is there now."""
        if present:
            self._since = time.monotonic()
        return time.monotonic() - self._since > self._limit_s


@dataclass
class _Flight:
    """A job under way."""

    job: Job
    future: Future[bytes]
    host: str  # that it must run on, if any
    asked: dict[str, float]  # of Dask, which looks for a worker that declares as much
    absence: _Absence  # of its host, or else of any worker that could run it
    worker: str = ""  # the address, once it has started there
    started: float | None = None


@dataclass(frozen=True)
class _Worker:
    host: str
    machine: str
    resources: dict[str, float]  # that it has
    declared: frozenset[str]  # kinds of them that Dask knows of

    def does(self, job: Job, asked: dict[str, float]) -> bool:
        """Return whether it has what the job needs, and declares what is asked of Dask."""
        enough = all(self.resources[k] >= getattr(job.needs, name) for k, name in _KINDS.items())
        return enough and asked.keys() <= self.declared


class DaskEngine(Engine):
    """An engine on a Dask cluster. timeout_s: of a job; None: as long as it takes."""

    def __init__(
        self, client: Client, run: RunContext, watcher: EngineWatcher, timeout_s: float | None
    ) -> None:
        self._client = client
        self._run, self._watcher = run, watcher
        self._timeout_s = timeout_s
        self._flights: dict[int, _Flight] = {}
        self._number = 0
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._places: dict[str, remote.WorkerPlace] = {}
        self._workers: dict[str, _Worker] = {}
        self._looked = 0.0
        self._no_workers, self._no_timing = _Absence(_ABSENT_S), _Absence(_ABSENT_S)
        client.subscribe_topic(run.name, self._hear)
        self._look()

    @override
    def slots(self) -> int:
        if time.monotonic() - self._looked > _LOOK_EVERY_S:
            with contextlib.suppress(OSError):  # `wait` sees whether that lasts
                self._look()
        if self._no_workers.too_long(bool(self._workers)):
            raise EngineLost("no worker is left; what is done is kept, the same command goes on")
        return len(self._workers)

    @override
    def timing_hosts(self) -> list[str]:
        found = {w.host for w in self._workers.values() if w.machine == self._run.machine}
        if self._no_timing.too_long(bool(found)):
            raise EngineLost(
                "no machine of the kind that cells are timed on is left; what is done is kept, the "
                "same command goes on"
            )
        return sorted(found)

    @override
    def refuses(self, job: Job) -> str:
        asked = self._selective(job)
        if any(worker.does(job, asked) for worker in self._workers.values()):
            return ""
        needs = job.needs
        if any(worker.does(job, {}) for worker in self._workers.values()):
            why = "which none here declares: start them with `bench worker`, or with --resources"
        else:
            why = "which none here has"
        return (
            f"it needs {needs.cpus} CPUs, {needs.gpus} GPUs and {needs.memory_bytes / 1e9:.1f} GB "
            f"in one worker, {why}"
        )

    @override
    def submit(self, job: Job, host: str = "", patient: bool = True) -> None:
        self._number += 1
        number = self._number
        order = remote.JobOrder(
            run=self._run,
            number=number,
            cell=job.cell.spelled,
            code=keys.code(job.cell),
            kind=job.kind,
            depth=job.depth,
            patient=patient,
        )
        asked = self._selective(job)
        future = self._client.submit(
            remote.work,
            msgspec.json.encode(order),
            key=f"{self._run.name}-{number}",
            pure=False,
            workers=[host] if host else None,
            resources=asked or None,
        )
        self._flights[number] = _Flight(
            job, future, host, asked, _Absence(_HOST_S if host else _ABSENT_S)
        )
        future.add_done_callback(lambda _: self._ended.put(number))

    @override
    def wait(self) -> list[tuple[Job, JobOutcome]]:
        """Return what has come to an end. Raises EngineLost where nothing can go on."""
        ended = self._overdue()
        with contextlib.suppress(queue.Empty):
            numbers = [self._ended.get(timeout=0 if ended else _MOMENT_S)]
            while True:
                flight = self._flights.pop(numbers.pop(), None)
                if flight is not None:
                    ended.append((flight.job, _outcome(flight.future)))
                    flight.future.release()
                    if ended[-1][1].status == "lost":  # and so is what the scheduler knew of us
                        with contextlib.suppress(ClosedClientError):  # seen below
                            self._client.subscribe_topic(self._run.name, self._hear)
                numbers.append(self._ended.get_nowait())
        if self._client.status == "closed":
            raise EngineLost(
                "the connection to the scheduler is lost; what is done is kept, and the same "
                "command goes on from there"
            )
        return ended

    @override
    def close(self) -> None:
        """Drop jobs that wait.

        `local` ends the workers with the jobs they run; on a running cluster those come to an end.
        """
        with contextlib.suppress(Exception):  # whatever the cluster's state, we are leaving
            self._client.cancel([flight.future for flight in self._flights.values()], force=True)
        self._flights.clear()

    def _hear(self, event: Any) -> None:
        """Take a message of a worker; called in the client's own thread."""
        what = event[1]
        flight = self._flights.get(what["job"])
        if flight is None:
            return
        who = what["worker"]
        if "started" in what:
            flight.worker, flight.started = who, time.monotonic()
        elif "stage" in what:
            self._watcher.stage(who, what["cell"], what["stage"])
        else:
            self._watcher.progress(who, what["fraction"], what["text"])

    def _look(self) -> None:
        """See which workers there are. Raises UsageError for one that can't work with us."""
        self._looked = time.monotonic()
        if self._client.status != "running":
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        unknown = [address for address in workers if address not in self._places]
        if unknown:
            self._places |= _places(self._client, unknown)
        self._workers = {
            address: _Worker(
                host=about["host"],
                machine=self._places[address].machine,
                resources=_resources(about, self._places[address]),
                declared=frozenset(about["resources"]),
            )
            for address, about in workers.items()
            if address in self._places
        }

    def _selective(self, job: Job) -> dict[str, float]:
        """What Dask must look for: the needs that some workers, which say what they have, don't
        meet.
        """
        return {
            kind: getattr(job.needs, name)
            for kind, name in _KINDS.items()
            if any(w.resources[kind] < getattr(job.needs, name) for w in self._workers.values())
        }

    def _overdue(self) -> list[tuple[Job, JobOutcome]]:
        """Take back jobs whose machine is gone, and stop those that ran for too long."""
        ended = []
        for number, flight in list(self._flights.items()):
            if self._is_stranded(flight):
                ended.append((self._drop(number), JobOutcome("lost")))
            elif self._is_late(flight):
                ended.append((self._drop(number), self._end_worker(flight)))
        return ended

    def _is_stranded(self, flight: _Flight) -> bool:
        """Return whether the machine that must run it has been away for too long.

        Raises EngineLost where none that could run it has been there for long.
        """
        workers = self._workers.values()
        if flight.host:
            return flight.absence.too_long(any(w.host == flight.host for w in workers))
        if flight.started is None:
            able = any(worker.does(flight.job, flight.asked) for worker in workers)
            if flight.absence.too_long(able):
                raise EngineLost(f"no worker is left for: {flight.job}; what is done is kept")
        return False

    def _is_late(self, flight: _Flight) -> bool:
        """Return whether it runs, and has for longer than it may."""
        if self._timeout_s is None or flight.started is None:
            return False
        if time.monotonic() - flight.started <= self._timeout_s:
            return False
        with contextlib.suppress(OSError):
            self._look()
        if flight.worker in self._workers:
            return True
        flight.started = None  # its worker died: Dask starts the job anew
        flight.absence = _Absence(_ABSENT_S)
        return False

    def _drop(self, number: int) -> Job:
        flight = self._flights.pop(number)
        flight.future.cancel()
        return flight.job

    def _end_worker(self, flight: _Flight) -> JobOutcome:
        """End the process that runs a job; its Nanny starts another one."""
        with contextlib.suppress(OSError):
            self._client.run(_kill_worker, workers=[flight.worker], nanny=True, on_error="ignore")
        return JobOutcome("died", f"it ran for more than {self._timeout_s:g} s and was stopped")


def _outcome(future: Future[bytes]) -> JobOutcome:
    if future.status == "finished":
        return msgspec.json.decode(future.result(), type=JobOutcome)
    if future.status != "error":
        return JobOutcome("lost")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return JobOutcome(
            "died",
            f"its worker process died {error.allowed_failures + 1} times in a row (out of memory, "
            "killed from outside, or a crash in a library)",
        )
    return JobOutcome("died", f"{type(error).__name__}: {error}")


def _places(client: Client, addresses: list[str] | None) -> dict[str, remote.WorkerPlace]:
    """What workers say of themselves. Raises UsageError for one that can't work with us."""
    found = {}
    answers = client.run(remote.place, workers=addresses, on_error="return")
    threads = client.nthreads()
    for address, answer in answers.items():
        if isinstance(answer, OSError):
            continue  # it died a moment ago
        if isinstance(answer, Exception):
            raise UsageError(
                f"the worker at {address} can't do our work ({type(answer).__name__}: {answer}); "
                "install the same slashbench there"
            )
        place = msgspec.json.decode(answer, type=remote.WorkerPlace)
        if place.versions != remote.versions():
            raise UsageError(
                f"the worker at {address} has {place.versions}, this command "
                f"{remote.versions()}; records would not be the same: install the same there"
            )
        lacks = place.lacks or ("one thread only" if threads.get(address, 1) > 1 else "")
        if lacks:
            raise UsageError(
                f"the worker at {address} can't do our work: it must have {lacks}. Start it with "
                "`bench worker`, or see bench/engines/OPERATORS.md for Dask's own command"
            )
        found[address] = place
    return found


def _resources(about: dict[str, Any], place: remote.WorkerPlace) -> dict[str, float]:
    """Return what a worker has: as it was declared, else as Dask sees it."""
    seen = {"CPU": place.cpus, "GPU": 0, "MEMORY": about["memory_limit"] or float("inf")}
    return {**seen, **{k: v for k, v in about["resources"].items() if k in seen}}


def _kill_worker(dask_worker: Nanny) -> None:
    """Kill the worker of this nanny, which starts another: one that hangs does not listen."""
    if dask_worker.pid is not None:
        os.kill(dask_worker.pid, signal.SIGKILL)


def _end(cluster: SpecCluster) -> None:
    """Stop the workers, whatever they do."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(ProcessLookupError, TypeError):  # gone, or not yet there
            os.kill(nanny.pid, signal.SIGKILL)
    cluster.close(timeout=10)
