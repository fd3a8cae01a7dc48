"""A checkpoint under a metric of the user's own: `--eval module:function`, or a task of lm-eval."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench import code_identity
from slashbench.bench.models import scoring
from slashbench.bench.models.external import loading
from slashbench.bench.models.external.checkpoint import ExternalModel
from slashbench.bench.models.external.spelling import (
    CHUNKS,
    FUNCTION,
    LM_EVAL,
    TASK_FILES,
    expanded,
)
from slashbench.contracts import Metrics, Reference, Split
from slashbench.errors import MissingDependency, UsageError

_LIMIT = 100  # items of a task, unless the user says otherwise


class FunctionModel(ExternalModel):
    """The function is called with the module and the split; it returns losses, one an item."""

    metric: ClassVar[str] = "loss by the user's function"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS

    @cached_property
    def function(self) -> Callable[[nn.Module, str], Any]:
        """The user's own. Raises UsageError where it can't be imported."""
        return imported(self.name.settings[FUNCTION])

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean of what the function returns: numbers, lower is better."""
        found = self.function(module.eval(), split)
        try:
            several = isinstance(found, Iterable) and getattr(found, "ndim", 1) > 0
            items = found if several else [found]
            losses = np.array([float(loss) for loss in items])
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{self.name.settings[FUNCTION]} returned no numbers: {error}"
            ) from error
        if not losses.size:
            raise UsageError(f"{self.name.settings[FUNCTION]} returned no losses")
        return mean_loss(self.metric, losses)


class LmEvalModel(ExternalModel):
    """A task of EleutherAI's lm-evaluation-harness, by the share of wrong answers."""

    metric: ClassVar[str] = "error rate of a task of lm-eval"
    tolerance: ClassVar[float] = 0.01

    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the share of items that the task counts as wrong.

        A task has one split, which serves as every one. Raises MissingDependency without lm-eval,
        and UsageError for a task that it does not have.
        """
        try:
            import lm_eval
            from lm_eval.models.huggingface import HFLM
        except ImportError as error:
            raise MissingDependency(
                f"lm-eval:TASK needs lm_eval ({error}): pip install 'slashbench[lm-eval]'"
            ) from error
        task, asked = _task(self.name.settings[LM_EVAL])
        with torch.no_grad():
            wrapped = HFLM(
                pretrained=module.eval(), tokenizer=loading.tokenizer_of(self.folder), device="cpu"
            )
            try:
                found = lm_eval.simple_evaluate(
                    model=wrapped,
                    tasks=[asked],
                    limit=self.name.number(CHUNKS, _LIMIT),
                    log_samples=True,
                    bootstrap_iters=0,
                )
            except Exception as error:  # of the harness, of its data sets, of the network
                raise UsageError(
                    f"lm-eval can't run {task!r}: {type(error).__name__}: {error}"
                ) from error
        samples = found.get("samples", {}).get(task) if found else None
        if not samples:
            raise UsageError(f"lm-eval has no items of {task!r}; of a group of tasks name one")
        return mean_loss(self.metric, np.array([1.0 - _right(task, each) for each in samples]))


def _task(said: str) -> tuple[str, Any]:
    """Return the name of a task, and what the harness is given: a name, or a file's content."""
    if not said.endswith(TASK_FILES):
        return said, said
    import yaml

    try:
        found = yaml.safe_load(expanded(said).read_text(encoding="utf-8"))
        return str(found["task"]), found
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"--eval lm-eval:{said} is no task that can be read: {error}") from error


def _right(task: str, sample: dict[str, Any]) -> float:
    for metric in ("acc", "exact_match", "acc_norm", "em"):
        if metric in sample:
            return float(sample[metric])
    raise UsageError(f"{task} says of no item whether it is right; take a task with accuracy")


def mean_loss(name: str, losses: np.ndarray[Any, np.dtype[np.float64]]) -> Metrics:
    """Return the metric of a loss for each item."""
    return Metrics(
        name=name,
        value=float(losses.mean()),
        stderr=scoring.standard_error(losses),
        n=losses.size,
        higher_is_better=False,
        per_item=losses.tolist(),
    )


def imported(said: str) -> Callable[[nn.Module, str], Any]:
    """Return the function of `module:function`; the working folder comes last in the search.

    Raises UsageError where it can't be imported.
    """
    module, _, name = said.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a module may raise anything while it is imported
        raise UsageError(f"--eval {said}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise UsageError(f"--eval {said}: {module} has no function {name!r}")
    function: Callable[[nn.Module, str], Any] = found
    return function


def code_of(said: str) -> dict[str, str]:
    """Return which code a function is, as a registry says it of a plug-in."""
    imported(said)
    return {f"function {said}": code_identity.digest(said.partition(":")[0].partition(".")[0])}
