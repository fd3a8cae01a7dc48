"""The code of a page in Markdown, run as a reader runs it: block by block, in one folder.

A block with a caption is a file. `bash` is run line by line, `python` and `pycon` in one namespace,
the latter held to what it shows. `console`, `text` and what else is left are for the eye.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers.command import bench_process

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & set(p.parts)
)

_FENCE = re.compile(
    r"^(?P<fence>```+)(?:\{code-block\} )?(?P<language>\w+)\n"
    r"(?P<options>(?::[\w-]+:[^\n]*\n)*)\n?(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_SHELL = frozenset("|&;<>$`")
_EQUAL = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One fenced block. caption: the file that it is, if it is one."""

    language: str
    text: str
    caption: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        caption = re.search(r":caption: (.*)", match["options"])
        line = source.count("\n", 0, match.start("text")) + 1
        found.append(Block(match["language"], match["text"], caption[1] if caption else "", line))
    return found


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a shell block: lines, joined where one ends in a backslash."""
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def bench_commands(page: Path, *languages: str) -> Iterator[list[str]]:
    """Yield what follows `bench` in every command of a page's blocks in these languages."""
    for block in blocks(page):
        if block.language not in languages or block.caption:
            continue
        for line in commands(block.text):
            words = shlex.split(line.partition("$ ")[2] or line, comments=True)
            while "bench" in (names := [Path(word).name for word in words]):
                words = words[names.index("bench") + 1 :]
                ends = [i for i, word in enumerate(words) if set(word) <= _SHELL]
                yield words[: min(ends, default=len(words))]


@dataclass
class Reader:
    """Somebody who follows a page in `folder`; pip installs for them in `folder/packages`."""

    folder: Path
    without: tuple[str, ...] = ()  # beginnings of commands, and parts of Python, that are left out
    names: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)  # what commands wrote, one after the other

    def follow(self, page: Path) -> None:
        """Run every block. Raises AssertionError where one fails."""
        with contextlib.chdir(self.folder):
            for block in blocks(page):
                self._take(block, f"{page}:{block.line}")

    def _take(self, block: Block, where: str) -> None:
        if block.caption:
            path = self.folder / block.caption
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            self._shell(block.text, where)
        elif any(part in block.text for part in self.without):
            return
        elif block.language == "python":
            exec(compile(block.text, where, "exec"), self.names)
        elif block.language == "pycon":
            self._hold_to_what_it_shows(block, where)

    def _shell(self, text: str, where: str) -> None:
        together = [text] if re.search(r"&$", text, re.MULTILINE) else commands(text)
        for command in together:
            if not command.startswith(self.without):
                self.said.append(self._run(command, where))

    def _run(self, command: str, where: str) -> str:
        first, *rest = shlex.split(command)
        if first == "bench" and not _SHELL & set(command):
            done = bench_process(*rest, cwd=self.folder, **self._environment)
            code, out, error = done.returncode, done.stdout, done.stderr
        else:
            child = subprocess.run(
                ["bash", "-c", command], cwd=self.folder, env=os.environ | self._environment,
                capture_output=True, text=True, encoding="utf-8", check=False,
            )  # fmt: skip
            code, out, error = child.returncode, child.stdout, child.stderr
        differs = code == 3 and command.startswith("bench diff")  # exit code: they differ
        assert code == 0 or differs, f"{where}: {command}\n{out}\n{error}"
        return out

    def _hold_to_what_it_shows(self, block: Block, where: str) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, {}, where, where, block.line)
        test.globs = self.names
        runner = doctest.DocTestRunner(optionflags=_EQUAL)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        assert not runner.failures, "".join(said)

    @property
    def _environment(self) -> dict[str, str]:
        """What makes pip install to a folder, without the network, and Python look there first."""
        packages = str(self.folder / "packages")
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([packages, *sys.path]),
            "PIP_TARGET": packages,
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # which turns isolation off
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
