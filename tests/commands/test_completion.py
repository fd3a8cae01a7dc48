"""Completion, as bash asks for it, and what no command line needs to import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import bench

BASH = shutil.which("bash")

#: Press Tab at the end of a line.
TAB = """\
eval "$(python -m slashbench.bench.cli completion bash)"
bench() { python -m slashbench.bench.cli "$@"; }
for line in "$@"; do
  COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMP_WORDS=($line)
  _python_argcomplete bench "" ""
  (IFS=,; echo "${COMPREPLY[*]}")
done
"""


def complete(folder: Path, *lines: str) -> list[str]:
    """Return what bash offers for each line, in one string with commas."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(BASH), "-c", TAB, "bash", *lines],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [line.rstrip(" ,") for line in done.stdout.splitlines()]


@pytest.mark.skipif(BASH is None, reason="no bash")
@pytest.mark.thorough
def test_bash_completes_verbs_options_and_registered_names(tmp_path: Path) -> None:
    verb, option, codec, suite, link, model = complete(
        tmp_path,
        "bench repo",
        "bench run --cod",
        "bench run --codecs huffman,rans-c",
        "bench run --suite smo",
        "bench run --recipes plain+gptq-",
        "bench tune --model digits-",
    )
    assert verb.split() == ["report"]
    assert option.strip() == "--codecs"
    assert codec.strip() == "huffman,rans-classes"
    assert suite.strip() == "smoke"
    assert link.strip() == "plain+gptq-loss"
    assert model.strip() == "digits-mlp"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_names_the_command(shell: str, tmp_path: Path) -> None:
    done = bench("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "_ARGCOMPLETE" in done.stdout
    assert "bench" in done.stdout


def test_help_and_the_package_import_nothing_heavy() -> None:
    """`bench --help` within 0.3 s and `import slashbench` within 0.1 s need no more than this."""
    program = (
        "import sys, contextlib, io, slashbench\n"
        "slight = set(sys.modules)\n"
        "from slashbench.bench import cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.main(['--help'])\n"
        "heavy = {'numpy', 'torch', 'numba', 'scipy', 'rich', 'dask', 'pyarrow', 'argcomplete',\n"
        "         'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert 'argparse' not in slight\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
