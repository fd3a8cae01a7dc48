"""What a float model answers is asked for once, whichever process asks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from slashbench.bench.pipeline import kept_answers
from slashbench.bench.pipeline.kept_answers import KeptAnswers
from slashbench.bench.store.store import Store


class Builder:
    """Builds one module again and again, and counts."""

    def __init__(self) -> None:
        self.module, self.count = nn.Linear(3, 2), 0

    def __call__(self) -> nn.Module:
        self.count += 1
        return self.module


def ask(module: nn.Module) -> torch.Tensor:
    """Return what the module answers to three items."""
    with torch.no_grad():
        answers: torch.Tensor = module(torch.eye(3))
    return answers


def kept(folder: Path, build: Builder, evaluation: str = "evaluation") -> KeptAnswers:
    """Return the reference as a new process has it."""
    return KeptAnswers(Store(folder), evaluation, build)


def test_another_process_does_not_build_the_model(tmp_path: Path) -> None:
    build = Builder()
    first = kept(tmp_path, build)
    wanted = first.answers("test", ask)
    assert torch.equal(first.answers("test", ask), wanted)
    assert torch.equal(kept(tmp_path, build).answers("test", ask), wanted)
    assert build.count == 1


def test_other_questions_and_weights_have_answers_of_their_own(tmp_path: Path) -> None:
    build = Builder()
    kept(tmp_path, build).answers("test", ask)
    kept(tmp_path, build).answers("validation", ask)
    kept(tmp_path, build, "of other weights").answers("test", ask)
    assert build.count == 3


def test_damaged_answers_are_made_again(tmp_path: Path) -> None:
    build = Builder()
    wanted = kept(tmp_path, build).answers("test", ask)
    (file,) = (tmp_path / "answers").rglob("*.safetensors")
    for damaged in (b"", b"\xff" * 100, file.read_bytes()[:-1]):
        file.write_bytes(damaged)
        assert torch.equal(kept(tmp_path, build).answers("test", ask), wanted)
    assert build.count == 4


def test_long_answers_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "MOST_BYTES", 8)
    build = Builder()
    for _ in range(2):
        kept(tmp_path, build).answers("test", ask)
    assert build.count == 2
    assert not (tmp_path / "answers").exists()
