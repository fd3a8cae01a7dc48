"""The float model's answers to test items, kept in the store for the processes that come later."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import load, save
from torch import nn

from slashbench.bench.pipeline.keys import answer_key
from slashbench.bench.store.store import Store, answer_name
from slashbench.contracts import Reference

T = TypeVar("T")

#: Bytes of answers up to which they are kept; longer ones take less time to make than to read.
MOST_BYTES = 1 << 22

_ONLY = "answers"


class KeptAnswers(Reference):
    """A float model that is built only for a question nobody has put to it before.

    Parameters
    ----------
    store
        Keeps answers that are one tensor of at most `MOST_BYTES`.
    evaluation
        Key of the float model's own evaluation, which holds all that its answers depend on.
    build
        Returns the module.
    """

    def __init__(self, store: Store, evaluation: str, build: Callable[[], nn.Module]) -> None:
        self._store, self._evaluation, self._build = store, evaluation, build
        self._reference: Reference | None = None
        self._known: dict[str, Any] = {}

    def answers(self, question: str, ask: Callable[[nn.Module], T]) -> T:
        """Return the answer in the store, or what the module says."""
        if question not in self._known:
            self._known[question] = self._answer(question, ask)
        found: T = self._known[question]
        return found

    def _answer(self, question: str, ask: Callable[[nn.Module], T]) -> T | torch.Tensor:
        files, name = self._store.files, answer_name(answer_key(self._evaluation, question))
        if (data := files.read(name)) is not None:
            with contextlib.suppress(safetensors.SafetensorError, KeyError):  # damaged: made again
                return load(data)[_ONLY]
        if self._reference is None:
            self._reference = Reference(self._build())
        made = self._reference.answers(question, ask)
        if isinstance(made, torch.Tensor) and made.nbytes <= MOST_BYTES:
            files.write(name, save({_ONLY: made.contiguous()}))
        return made
