"""A cluster that is there already: schedulers and workers as an operator starts them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed.security import Security

from slashbench.bench.engines import dask_settings
from slashbench.bench.store.store import Store
from slashbench.record import CheckpointRecord, TimeRecord
from tests.helpers.command import COMMAND
from tests.helpers.engine_lab import (
    CODECS,
    PLUGIN,
    cells,
    environment,
    holders,
    run,
    shared_by_two_drivers,
    start,
    wait_for,
)
from tests.helpers.ports import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]

SLOW = ["--models=trouble:steps=60:pause=0.05", "--recipes=plain", CODECS]


class Cluster:
    """Processes of an operator, each a group of its own; `within` is a command to start them by."""

    def __init__(self, address: str, **more: str) -> None:
        self.address = address
        # Dask refuses less than 11 s: ten probes, one a second.
        self.environment = environment(DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP="12s", **more)
        self.processes: list[subprocess.Popen[Any]] = []

    def start(self, *command: str, within: tuple[str, ...] = ()) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=self.environment,
        )
        self.processes.append(process)
        return process

    def scheduler(self, within: tuple[str, ...] = ()) -> None:
        protocol, _, rest = self.address.partition("://")
        port = rest.rpartition(":")[2]
        self.start(
            "distributed.cli.dask_scheduler", "--protocol", protocol, "--port", port,
            "--no-dashboard", within=within,
        )  # fmt: skip

    def worker(
        self, within: tuple[str, ...] = (), address: str | None = None
    ) -> subprocess.Popen[Any]:
        return self.start(
            "slashbench.bench.cli", "worker", address or self.address, "--jobs=1", within=within
        )

    def dask_worker(self, folder: Path, *options: str, threads: int = 1) -> None:
        """As the operators' page starts it."""
        page = (Path(dask_settings.__file__).parent / "OPERATORS.md").read_text()
        settings = folder / "dask.yaml"
        settings.write_text(page.partition("```yaml\n")[2].partition("```")[0])
        self.environment["DASK_CONFIG"] = str(settings)
        self.start(
            "distributed.cli.dask_worker", self.address, "--no-dashboard", "--nthreads",
            str(threads), *options,
        )  # fmt: skip

    def ready(self, workers: int, within: tuple[str, ...] = ()) -> None:
        """Wait until so many workers have joined: a run begins with the first that is there."""
        program = (
            f"from distributed import Client\n"
            f"with Client({self.address!r}, timeout=60) as client:\n"
            f"    client.wait_for_workers({workers}, timeout=120)\n"
        )
        command = [*within, sys.executable, "-c", program]
        subprocess.run(command, check=True, env=self.environment, timeout=200)

    def end(self) -> None:
        for process in self.processes:
            kill(process)


def kill(process: subprocess.Popen[Any]) -> None:
    """As when a machine loses power: nanny and worker at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster(f"tcp://127.0.0.1:{free_port()}")
    found.scheduler()
    yield found
    found.end()


def test_a_killed_node_costs_nothing_but_time(cluster: Cluster, tmp_path: Path) -> None:
    nodes = [cluster.worker(), cluster.worker()]
    cluster.ready(2)
    process = start(
        "run", *SLOW, "--seeds=0..2", "--scheduler", cluster.address, f"--out={tmp_path}"
    )
    wait_for(lambda: holders(tmp_path, 2))
    kill(nodes[0])
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert len(cells(tmp_path)) == 6
    assert {cell.status for cell in cells(tmp_path).values()} == {"ok"}


class Proxy:
    """Passes bytes between a driver and the scheduler until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: list[socket.socket] = []
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """No byte passes any more, and no one can connect."""
        self._open = False
        self._listener.close()
        for end in self._pairs:
            end.close()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._pairs += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(a, b), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_driver_that_loses_the_cluster_ends_and_the_next_one_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    for _ in range(2):
        cluster.worker()
    cluster.ready(2)
    proxy = Proxy(int(cluster.address.rpartition(":")[2]))
    out = f"--out={tmp_path}"
    process = start(
        "run", *SLOW, "--seeds=0..2", "--scheduler", f"tcp://127.0.0.1:{proxy.port}", out
    )
    wait_for(lambda: holders(tmp_path, 2))
    proxy.cut()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output.partition("bench: ")[2]
    code, output = run(*SLOW, "--seeds=0..2", "--scheduler", cluster.address, out)
    assert code == 0, output
    assert {cell.status for cell in cells(tmp_path).values()} == {"ok"}
    assert len(cells(tmp_path)) == 6


def test_an_address_at_which_nothing_answers(tmp_path: Path) -> None:
    code, output = run(
        *SLOW, "--scheduler", f"tcp://127.0.0.1:{free_port()}", f"--out={tmp_path}",
        env=environment(DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="2s"),
    )  # fmt: skip
    assert code == 2
    assert "no Dask scheduler answers" in output


def test_a_worker_without_a_scheduler_says_so() -> None:
    worker = start(
        "worker", f"tcp://127.0.0.1:{free_port()}", "--jobs=1",
        env=environment(DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="2s"),
    )  # fmt: skip
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "no Dask scheduler answers" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("nonsense", "tcp://HOST:PORT"),
        ("tcp://head", "8786"),
        ("tls://head:8786", "DASK_DISTRIBUTED__COMM__TLS__CA_FILE"),
    ],
)
def test_what_can_be_no_address_is_told_apart_at_once(address: str, advice: str) -> None:
    for command in (["run", "--suite=smoke", "--scheduler", address], ["worker", address]):
        process = start(*command)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2, output
        assert advice in output
        assert "Traceback" not in output


@pytest.mark.parametrize("ca", ["whole", "not there", "no certificate"])
def test_certificates_that_do_not_do_are_named(ca: str, tmp_path: Path) -> None:
    """Half of them only, or a wrong file."""
    path = tmp_path / "ca.pem"
    if ca != "not there":
        path.write_text(str(Security.temporary().tls_ca_file) if ca == "whole" else "nonsense")
    keys = {
        f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT": str(path) for role in ("CLIENT", "WORKER")
    }
    more = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(path), **(keys if ca != "whole" else {})}
    address = "tls://127.0.0.1:8786"
    for command in (["run", "--suite=smoke", "--scheduler", address], ["worker", address]):
        process = start(*command, env=environment(**more))
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2, output
        assert f"{'WORKER' if command[0] == 'worker' else 'CLIENT'}__KEY" in output
        assert "Traceback" not in output


def test_a_worker_of_no_processes_is_refused() -> None:
    worker = start("worker", "tcp://127.0.0.1:8786", "--jobs=0")
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "1 or more" in output


def test_a_worker_that_waits_for_its_scheduler_can_be_stopped() -> None:
    worker = start("worker", f"tcp://127.0.0.1:{free_port()}", "--jobs=1")
    time.sleep(4)
    worker.send_signal(signal.SIGINT)
    output, _ = worker.communicate(timeout=15)
    assert worker.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("threads", "more", "lack"),
    [
        (2, {}, "one thread only"),
        (1, {"DASK_DISTRIBUTED__WORKER__DAEMON": "True"}, "processes of its own"),
        (1, {"MALLOC_TRIM_THRESHOLD_": "65536"}, "no MALLOC_TRIM_THRESHOLD_"),
    ],
)
def test_workers_started_by_other_means_are_told_what_they_lack(
    threads: int, more: dict[str, str], lack: str, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.environment |= more
    cluster.dask_worker(tmp_path, threads=threads)
    code, output = run(*SLOW, "--scheduler", cluster.address, f"--out={tmp_path}")
    assert code == 2
    assert lack in output
    assert "bench worker" in output


@pytest.mark.parametrize("plugin", ["edited", "missing"])
def test_a_worker_with_another_plugin_is_told_apart(
    plugin: str, cluster: Cluster, tmp_path: Path
) -> None:
    paths = cluster.environment["PYTHONPATH"].removeprefix(f"{PLUGIN}{os.pathsep}")
    if plugin == "edited":
        shutil.copytree(PLUGIN, tmp_path / "plugin")
        with (tmp_path / "plugin" / "trouble.py").open("a") as file:
            file.write("# edited\n")
        paths = f"{tmp_path / 'plugin'}{os.pathsep}{paths}"
    cluster.environment["PYTHONPATH"] = paths
    cluster.worker()
    cluster.ready(1)
    code, output = run(*SLOW, "--seeds=0", "--scheduler", cluster.address, f"--out={tmp_path}")
    assert code == 2, output
    assert ("model trouble" if plugin == "edited" else "no model 'trouble'") in output
    assert "install the same there" in output
    assert not cells(tmp_path)


def test_workers_that_declare_nothing_do_what_all_can_do(cluster: Cluster, tmp_path: Path) -> None:
    """Beside one that declares too little they would be waited for in vain: that is said."""
    what = [
        "--models=digits-mlp:steps=5", "--recipes=plain", CODECS, "--seeds=0",
        "--scheduler", cluster.address,
    ]  # fmt: skip
    cluster.dask_worker(tmp_path)
    cluster.ready(1)
    code, output = run(*what, f"--out={tmp_path / 'alone'}")
    assert code == 0, output
    cluster.dask_worker(tmp_path, "--resources", "MEMORY=1")
    cluster.ready(2)
    code, output = run(*what, f"--out={tmp_path / 'beside'}")
    assert code == 1, output
    assert "which none here declares" in output


def test_a_training_that_needs_a_gpu_waits_for_the_worker_that_has_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Dask counts what workers declare; that it is a real GPU is for the operator to see to."""
    what = [
        "--models=trouble:gpus=1", "--recipes=plain", CODECS, "--seeds=0..1",
        "--scheduler", cluster.address, f"--out={tmp_path / 'out'}",
    ]  # fmt: skip
    cluster.worker()
    cluster.ready(1)
    code, output = run(*what)
    assert code == 1, output
    assert "1 GPUs" in output
    assert "which none here has" in output
    assert not cells(tmp_path / "out")
    cluster.dask_worker(tmp_path, "--resources", "CPU=1 GPU=1 MEMORY=4e9")
    cluster.ready(2)
    code, output = run(*what)
    assert code == 0, output
    assert {cell.status for cell in cells(tmp_path / "out").values()} == {"ok"}


def test_ctrl_c_leaves_a_running_cluster_to_finish_what_it_is_at(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.worker()
    cluster.ready(1)
    what = ["run", *SLOW, "--seeds=0..2", "--scheduler", cluster.address, f"--out={tmp_path}"]
    process = start(*what)
    wait_for(lambda: holders(tmp_path))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "The same command resumes the run" in output
    assert "Traceback" not in output
    wait_for(lambda: not holders(tmp_path))
    assert len(list(Store(tmp_path).all(CheckpointRecord))) == 1
    code, output = run(*what[1:])
    assert code == 0, output
    assert output.count("train trouble") == 2


def test_certificates(tmp_path: Path) -> None:
    """Scheduler, worker and driver with files, as on the operators' page; none works without."""
    made = Security.temporary()
    names = {"CA_FILE": made.tls_ca_file}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        names |= {f"{role}__CERT": made.tls_client_cert, f"{role}__KEY": made.tls_client_key}
    more = {}
    for name, text in names.items():
        (tmp_path / name).write_text(text)
        more[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(tmp_path / name)
    found = Cluster(f"tls://127.0.0.1:{free_port()}", **more)
    try:
        found.scheduler()
        found.worker()
        found.ready(1)
        what = ["--models=digits-mlp:steps=5", "--recipes=plain", CODECS, "--seeds=0"]
        out = f"--out={tmp_path / 'out'}"
        code, output = run(*what, "--scheduler", found.address, out, env=environment(**more))
        assert code == 0, output
        other = found.address.replace("tls", "tcp")
        code, output = run(*what, "--scheduler", other, f"--out={tmp_path / 'other'}")
        assert code == 2, output
        assert "give tls://HOST:PORT" in output
    finally:
        found.end()


# -- two machines ------------------------------------------------------------------------------

IP = shutil.which("ip")


def namespaces() -> str:
    """Why there can be no network namespaces here; empty where there can."""
    if sys.platform != "linux" or IP is None:
        return "needs Linux and `ip` (apt package iproute2)"
    done = subprocess.run([IP, "netns", "add", "sb-probe"], capture_output=True, text=True)
    if done.returncode:
        return f"no network namespace can be made here: {done.stderr.strip()}"
    subprocess.run([IP, "netns", "del", "sb-probe"], check=True)
    return ""


WHY_NOT = namespaces()


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Three hosts on one switch: addresses 10.97.0.1 to 3 in namespaces sb1 to sb3."""

    def ip(*words: str) -> None:
        subprocess.run([str(IP), *words], check=True, capture_output=True)

    names = ["sb1", "sb2", "sb3"]
    ip("link", "add", "sbswitch", "type", "bridge")
    ip("link", "set", "sbswitch", "up")
    for number, name in enumerate(names, 1):
        ip("netns", "add", name)
        ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", f"{name}v", "master", "sbswitch", "up")
        ip("-n", name, "addr", "add", f"10.97.0.{number}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
    yield names
    for name in names:
        subprocess.run([str(IP), "netns", "del", name], check=False)
    subprocess.run([str(IP), "link", "del", "sbswitch"], check=False)


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")
@pytest.mark.timeout(500)
def test_two_machines_one_of_which_loses_its_network(machines: list[str], tmp_path: Path) -> None:
    """Scheduler and driver on the first, a worker on each of the others."""
    head, *others = ((str(IP), "netns", "exec", name) for name in machines)
    cluster = Cluster("tcp://10.97.0.1:8786")
    try:
        cluster.scheduler(within=head)
        for other in others:
            cluster.worker(within=other)
        cluster.ready(2, within=head)
        process = subprocess.Popen(
            [
                *head, *COMMAND, "run", *SLOW, "--seeds=0..3",
                "--scheduler", cluster.address, f"--out={tmp_path}",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
        )  # fmt: skip
        wait_for(lambda: holders(tmp_path, 2), 180)
        subprocess.run([str(IP), "link", "set", "sb3v", "down"], check=True)  # the cable is out
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        found = cells(tmp_path)
        assert len(found) == 8
        assert {cell.status for cell in found.values()} == {"ok"}
        assert len({time.machine for time in Store(tmp_path).all(TimeRecord)}) == 1
    finally:
        cluster.end()


# -- a full disk -------------------------------------------------------------------------------


def tmpfs(folder: Path, size: str, how: str = "") -> subprocess.CompletedProcess[str]:
    options = f"{how}size={size}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that two checkpoints fill."""
    if sys.platform != "linux":
        pytest.skip("needs Linux's tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = tmpfs(folder, "1m")
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


def test_a_full_disk_ends_the_run_and_with_more_room_it_goes_on(small_disk: Path) -> None:
    what = [
        "--models=digits-mlp:steps=5", "--recipes=plain", CODECS, "--seeds=0..5", "--jobs=2",
        f"--out={small_disk}",
    ]  # fmt: skip
    code, output = run(*what)
    assert code == 2, output
    assert "the disk is full; free some space" in output
    assert "Traceback" not in output
    tmpfs(small_disk, "64m", "remount,")
    code, output = run(*what)
    assert code == 0, output
    assert len(cells(small_disk)) == 12
    assert not list(small_disk.rglob(".partial-*"))


# -- an object store ---------------------------------------------------------------------------


def test_two_workers_meet_in_an_object_store(s3: str, tmp_path: Path, cluster: Cluster) -> None:
    """Results over HTTP alone: a second driver has nothing to do, a merge brings them home."""
    for _ in range(2):
        cluster.worker()
    where = f"--out={s3}/run"
    what = ["--models=digits-mlp:steps=5", "--recipes=plain", CODECS, "--seeds=0..1"]
    code, output = run(*what, "--scheduler", cluster.address, where)
    assert code == 0, output
    assert len(cells(f"{s3}/run")) == 4
    code, output = run(*what, "--jobs=0", where)
    assert code == 0, output
    assert "4 already done, 0 to run" in output
    merge = start("merge", f"{s3}/run", f"--out={tmp_path}")
    output, _ = merge.communicate(timeout=60)
    assert merge.returncode == 0, output
    code, output = run(*what, "--jobs=0", f"--out={tmp_path}")
    assert "4 already done, 0 to run" in output


def test_two_drivers_share_an_object_store_and_do_nothing_twice(s3: str) -> None:
    shared_by_two_drivers(f"{s3}/shared")
