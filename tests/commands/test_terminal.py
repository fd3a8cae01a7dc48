"""What a terminal shows: the text of users as it is, whatever the terminal's encoding and width."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numcodecs.registry
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs.abc import Codec
from safetensors.torch import save_file

from slashbench.bench.commands.console import console
from tests.helpers.command import COMMAND, bench, bench_process
from tests.helpers.report_lab import Lab

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp932", "utf-8")
BRIEF = ("run", "--models=digits-mlp:steps=5", "--recipes=plain", "--seeds=0", "--jobs=0")


class NoRoom(Codec):  # type: ignore[misc]
    """Fails in words that look like rich's markup."""

    codec_id = "tests.no-room"

    def encode(self, buf: Any) -> Any:
        raise RuntimeError("no room in [/scratch/tmp], one of [red, blue] is wanted \x1b[2J")

    def decode(self, buf: Any, out: Any = None) -> Any:
        raise NotImplementedError


numcodecs.registry.register_codec(NoRoom)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of two cells."""
    lab = Lab(tmp_path_factory.mktemp("records"))
    lab.cell("huffman", 500, recipe="backslash:lam=20+quantize:step=2^-8")
    lab.cell("[b]x[/b]", 400, failed="one of [red, blue]")
    return lab.folder


def test_a_reason_in_brackets_is_shown_whole_and_stops_no_other_cell(tmp_path: Path) -> None:
    done = bench(*BRIEF, "--codecs=numcodecs.tests.no-room,entropy", "--out=[/old]", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "no room in [/scratch/tmp], one of [red, blue] is wanted \\x1b[2J" in done.stdout
    assert "\x1b" not in done.stdout
    assert "2 cells, 0 already done, 2 to run" in done.stdout
    assert "1 cells failed" in done.stdout
    assert "page: [/old]/leaderboard.html" in done.stdout


@pytest.mark.thorough
def test_the_pip_line_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['sklearn'] = None")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = bench_process("list", "models", cwd=tmp_path, cold=True, PYTHONPATH=path)
    assert "pip install 'slashbench[models]'" in done.stdout


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_no_text_is_taken_for_markup_or_emoji(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console().print(f"<{text}>", soft_wrap=True)
    assert capsys.readouterr().out == f"<{text}>\n"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    encoding=st.sampled_from(ENCODINGS),
    columns=st.one_of(st.sampled_from(["", "0", "-1", "x", "1"]), st.integers(2, 300).map(str)),
    verb=st.sampled_from(["report", "list", "compare", "html"]),
    folder=st.sampled_from(["plain", "with blanks", "[/b]", "späß · λ", "-o"]),
)
@pytest.mark.thorough
def test_any_terminal_and_any_working_folder(
    encoding: str, columns: str, verb: str, folder: str, records: Path, tmp_path: Path
) -> None:
    home = tmp_path / folder
    home.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, tuple[object, ...]] = {
        "report": ("report", "--out", records, "--boards=all"),
        "list": ("list", "suites"),
        "compare": ("compare", "backslash:lam=20", "backslash:lam=20", "--out", records),
        "html": ("report", "--out", records, "--html=page.html", "--md=board.md"),
    }
    done = bench(*arguments[verb], cwd=home, encoding=encoding, COLUMNS=columns)
    assert done.returncode in (0, 2) if verb == "compare" else done.returncode == 0, done.stderr
    assert done.stdout.strip() or done.stderr.strip() or verb == "html"
    assert done.stdout == done.raw.decode(encoding)
    if verb == "html":
        assert 'charset="utf-8"' in (home / "page.html").read_text(encoding="utf-8")


def test_boards_in_a_poor_encoding_keep_their_columns(records: Path, tmp_path: Path) -> None:
    rich, poor = (
        bench("report", "--out", records, "--boards=all", cwd=tmp_path, encoding=encoding)
        for encoding in ("utf-8", "ascii")
    )
    assert [len(line) for line in poor.stdout.splitlines()] == [
        len(line) for line in rich.stdout.splitlines()
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_leaves_and_a_disk_that_is_full(records: Path, tmp_path: Path) -> None:
    report = [*COMMAND, "report", "--boards", "all", "--out", str(records)]
    receiver, sender = os.pipe()
    os.close(receiver)
    done = subprocess.run(report, stdout=sender, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(sender)
    assert (done.returncode, done.stderr) == (0, b"")
    if Path("/dev/full").exists():
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(report, stdout=full, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (1, b"bench: No space left on device\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--md=folder", "--out=RECORDS"),
        ("report", f"--csv={'n' * 300}", "--out=RECORDS"),
        ("report", f"--out={'n' * 300}"),
        ("run", "--dry-run", "--models=digits-mlp", "--codecs=pack", f"--out={'n' * 300}"),
        ("compress", "model", "-o", "n" * 300),
        ("compress", "model", "-o", "model/file/under"),
        ("scan", "model/none.safetensors"),
        ("merge", "folder", "--out=model/file"),
        ("reproduce", "backslash", "--report", "--out=model/file"),
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_what_the_system_refuses_is_said_in_words(
    arguments: tuple[str, ...], records: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_bytes(b"a file")
    save_file({"w": torch.ones(9)}, tmp_path / "model" / "m.safetensors")
    told = [argument.replace("RECORDS", str(records)) for argument in arguments]
    done = bench(*told, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("bench: ")
    assert "Traceback" not in done.stderr
