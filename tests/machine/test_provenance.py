"""What records say of the machine, and what they must not say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slashbench.bench.machine import provenance
from slashbench.bench.submission import consistency


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("text:/home/ann/a.txt", "text:a.txt"),
        ("/home/ann/m.pt:text=/data/a.txt:chunks=3", "m.pt:text=a.txt:chunks=3"),
        ("file:///home/ann/a.txt", "a.txt"),
        ("text:file://localhost/home/ann/a.txt", "text:a.txt"),
        ("file:/home/ann/a.txt", "a.txt"),
        ("text:~ann/notes/a.txt", "text:a.txt"),
        ("C:\\Users\\ann\\m.pt", "m.pt"),
        ("text:C:/Users/ann/a.txt", "text:a.txt"),
        ("\\\\host\\ann\\m.pt", "m.pt"),
        ("tcp://10.1.2.3:8786", "URL"),
        ("--scheduler=tls://[fe80::1]:8786", "--scheduler=URL"),
        ("s3://key:secret@bucket/ann?token=x", "URL"),
        ("hf:some/model@main", "hf:some/model@main"),
        ("../weights/m.pt", "../weights/m.pt"),
        ("plain+rdoq:step=1/2,plain+prune", "plain+rdoq:step=1/2,plain+prune"),
    ],
)
def test_a_recorded_command_names_no_place_of_the_machine(word: str, kept: str) -> None:
    assert provenance.portable([word]).strip("'") == kept


@pytest.mark.parametrize(
    "text",
    ["text:/home/ann/", "file:///home/ann/", "file:/home/ann/", r"C:\\Users\\ann", "C:/Users/ann"],
)
def test_a_check_sees_such_a_place(text: str) -> None:
    assert consistency.folders_named(f'"command_line":"bench run --eval {text}"'.encode())


def test_an_address_of_the_web_is_no_place_of_the_machine() -> None:
    assert not consistency.folders_named(b"https://home/usr/x and https://example.org/home/x")


def test_the_commit_of_a_checkout_that_the_package_only_lies_in_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    installed = tmp_path / "venv" / "provenance.py"
    installed.parent.mkdir()
    installed.touch()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "somebody's own")
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert provenance._commit.__wrapped__() == (None, None)
    git("add", "venv")
    git("commit", "-q", "-m", "the package")
    commit, dirty = provenance._commit.__wrapped__()
    assert commit
    assert dirty is False
