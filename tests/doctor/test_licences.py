"""`bench list licences`: something is said of all that a board runs, and nothing is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slashbench.bench.doctor import licences
from tests.helpers.command import bench


def test_packages_models_data_and_files_are_listed(tmp_path: Path) -> None:
    done = bench("list", "licences", "--json", cwd=tmp_path)
    assert done.returncode == 0
    found = {(one["use"], one["name"]): one for one in json.loads(done.stdout)}
    assert found["package", "numpy"]["licence"].startswith("BSD")
    assert found["model", "digits-mlp"]["licence"] == "MIT"
    assert found["files to fetch", "asterisk-prompts"]["licence"].startswith("CC-BY-SA")
    assert all(one["licence"] for one in found.values())
    assert bench("list", "licences", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ("License-Expression: MIT", "MIT"),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", "BSD"),
        (
            "License: Copyright (c) 2000 A\nClassifier: License :: OSI Approved :: MIT License",
            "MIT License",
        ),
        ("Classifier: License :: OSI Approved", licences.UNSTATED),
        ("Summary: a thing", licences.UNSTATED),
    ],
)
def test_what_a_package_states(
    lines: str, licence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "athing-1.dist-info" / "METADATA"
    about.parent.mkdir()
    text = f"Metadata-Version: 2.4\nName: athing\nVersion: 1\n{lines}\n"
    about.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert licences.stated("athing") == licence
