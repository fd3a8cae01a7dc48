"""Files that hosts and people of a release read say what the rest of the repository says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from slashbench.version import __version__

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_hosted_workflow_runs_the_commands_of_the_readme() -> None:
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    ran = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    told = re.findall(r"^python3 -m venv .*$", text("README.md"), re.MULTILINE)
    assert sorted(ran) == sorted(told)
    assert text(".ci/run").rstrip().splitlines()[-1] in ran


def test_the_hosted_workflow_tries_every_python_from_the_oldest_that_installs() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', text("pyproject.toml"))
    assert oldest
    for job in yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"].values():
        assert job["strategy"]["matrix"]["python"][0] == oldest[1]


def test_what_is_cited_is_this_version() -> None:
    cited = yaml.safe_load(text("CITATION.cff"))
    assert cited["version"] == __version__
    assert cited["license"] == "MIT"
    assert f"[{__version__}]" in text("CHANGELOG.md")


def test_forms_and_hooks_are_well_formed() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert path.stem == "config" or {"name", "description", "body"} <= form.keys(), path
    (local,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}


def test_nothing_strays_into_the_first_folder() -> None:
    """What a tutorial's commands write, when tried here, is not for git."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    listed = ["git", "-C", str(ROOT), "ls-files", "--", ":(glob)*"]
    kept = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    assert {Path(name).suffix for name in kept} <= {
        "",
        ".md",
        ".cff",
        ".ini",
        ".toml",
        ".txt",
        ".yaml",
    }
