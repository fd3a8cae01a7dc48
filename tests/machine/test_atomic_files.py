"""What is no regular file is written into; what can't be written is said in words."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from slashbench.bench import cli
from slashbench.bench.machine.atomic_files import (
    atomically,
    explained,
    folder_atomically,
    is_stream,
    sweep_beside,
    write_atomically,
)
from slashbench.errors import StoreUnusable
from tests.helpers.report_lab import Lab

posix = pytest.mark.skipif(os.name != "posix", reason="FIFOs and descriptors of POSIX")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    lab = Lab(tmp_path / "results")
    lab.cell("huffman", 500)
    return lab.folder


@pytest.fixture
def fifo(tmp_path: Path) -> tuple[Path, Future[bytes]]:
    """A FIFO, and what a reader gets from it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = ThreadPoolExecutor(1)
    got = reader.submit(path.read_bytes)
    reader.shutdown(wait=False)
    return path, got


def bench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(list(map(str, arguments)))
    return int(end.value.code or 0)


def in_a_process(program: str, *arguments: object, **options: int) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )
    assert isinstance(done.stdout, bytes)
    return done.stdout


WRITE = """
import sys
from pathlib import Path
from slashbench.bench.machine.atomic_files import write_atomically
print("before")
write_atomically(Path(sys.argv[1]), b"data\\n")
print("after")
"""


@posix
@pytest.mark.parametrize("kind", ["md", "csv", "json", "html", "parquet"])
@pytest.mark.thorough
def test_a_board_goes_into_a_fifo(
    kind: str, results: Path, fifo: tuple[Path, Future[bytes]], tmp_path: Path
) -> None:
    path, got = fifo
    assert bench("report", "--out", results, f"--{kind}", path) == 0
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert bench("report", "--out", results, f"--{kind}", tmp_path / "file") == 0
    assert got.result(10) == (tmp_path / "file").read_bytes()


@posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_standard_output_is_written_to_in_order(name: str, tmp_path: Path) -> None:
    if name == "link":
        (tmp_path / name).symlink_to("/dev/stdout")
        name = str(tmp_path / name)
    assert in_a_process(WRITE, name) == b"before\ndata\nafter\n"
    file = tmp_path / "redirected"
    with file.open("wb") as out:
        subprocess.run([sys.executable, "-c", WRITE, name], stdout=out, check=True)
    assert file.read_bytes() == b"before\ndata\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] in (
        ["redirected"],
        ["link", "redirected"],
        ["redirected", "link"],
    )


@posix
def test_any_open_descriptor_is_written_to(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    link = tmp_path / "link"
    link.symlink_to(
        f"/proc/self/fd/{writing}" if Path("/proc/self").exists() else f"/dev/fd/{writing}"
    )
    for path in (Path(f"/dev/fd/{writing}"), link):
        assert is_stream(path)
        write_atomically(path, b"data")
        assert os.read(reading, 10) == b"data"
    assert link.is_symlink()
    os.close(reading)
    os.close(writing)


@posix
def test_a_device_stays_one(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    with atomically(tmp_path / "null") as file:
        file.write(b"long")
        file.seek(0)
        assert file.read() == b"long"  # as with any file
    assert (tmp_path / "null").is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@posix
def test_nothing_reaches_a_stream_of_what_failed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with pytest.raises(ZeroDivisionError), atomically(Path(f"/dev/fd/{writing}")) as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    os.close(writing)
    assert os.read(reading, 10) == b""
    os.close(reading)


@posix
def test_a_checkpoint_goes_into_a_fifo_without_force(
    fifo: tuple[Path, Future[bytes]], tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    path, got = fifo
    save_file({"w": np.ones((40, 40), np.float32)}, tmp_path / "m.safetensors")
    assert bench("compress", tmp_path / "m.safetensors", "-o", path) == 0
    assert bench("compress", tmp_path / "m.safetensors", "-o", tmp_path / "file") == 0
    assert got.result(10) == (tmp_path / "file").read_bytes()
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_said_in_words() -> None:
    with pytest.raises(StoreUnusable, match=r"/dev/full.*full"):
        write_atomically(Path("/dev/full"), bytes(100_000))


def test_a_link_to_a_file_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept")
    (tmp_path / "link").symlink_to("there")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "there").read_text() == "kept"
    assert (tmp_path / "link").read_text() == "new"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("wrong", ["folder", "long", "proc", "circle"])
def test_what_cant_be_written_is_said_in_words(
    wrong: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    path = {
        "folder": tmp_path / "folder",
        "long": tmp_path / ("n" * 300),
        "proc": Path("/proc/none/x"),
        "circle": tmp_path / "circle" / "x",
    }[wrong]
    assert bench("report", "--out", results, "--md", path) == 2
    said = capsys.readouterr().err
    assert "can't write" in said
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "circle", "results"}


def test_an_error_about_what_is_read_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomically(tmp_path / "out" / "x"):
        (tmp_path / "read" / "member").read_bytes()
    with pytest.raises(FileNotFoundError), folder_atomically(tmp_path / "out" / "y"):
        (tmp_path / "read" / "member").read_bytes()
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(BrokenPipeError), explained(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "gone")


def test_a_folder_that_cant_be_replaced_stays(tmp_path: Path) -> None:
    (old := tmp_path / "out").mkdir()
    (old / "weights").write_text("old")
    with pytest.raises(StoreUnusable), folder_atomically(old) as made:
        made.rmdir()  # which nobody should do: the last step fails
    assert (old / "weights").read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs a swap of folders")
def test_a_folder_that_is_replaced_is_there_at_every_moment(tmp_path: Path) -> None:
    out, stop, seen = tmp_path / "out", threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            seen.append(out.is_dir())

    with folder_atomically(out):
        pass
    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(300):
        with folder_atomically(out) as made:
            (made / str(number)).touch()
    stop.set()
    watcher.join()
    assert all(seen)
    assert [path.name for path in out.iterdir()] == ["299"]
    assert list(tmp_path.iterdir()) == [out]


DIE = """
import os, sys
from pathlib import Path
from slashbench.bench.machine.atomic_files import atomically, folder_atomically
made = folder_atomically if sys.argv[2] == "folder" else atomically
with made(Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_next_command_sweeps_what_a_killed_one_left_beside_its_output(
    kind: str, tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    out = tmp_path / "out" / "small"
    subprocess.run([sys.executable, "-c", DIE, str(out), kind], check=False)
    assert len(list(out.parent.iterdir())) == 1
    with atomically(out.parent / "other") as file:
        file.write(b"being written")
        sweep_beside(out)
        (mine,) = out.parent.iterdir()
    assert not mine.exists()
    subprocess.run([sys.executable, "-c", DIE, str(out), kind], check=False)
    save_file({"w": np.ones((4, 4), np.float32)}, tmp_path / "m.safetensors")
    assert bench("compress", tmp_path / "m.safetensors", "-o", out) == 0
    assert {path.name for path in out.parent.iterdir()} == {"small", "other"}
