"""What all external models share: their files, and that they come with their weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from slashbench.bench.data.base import file_sha256
from slashbench.bench.formats.weight_files import WeightFiles
from slashbench.bench.models.external import loading
from slashbench.bench.models.external.hub import located
from slashbench.bench.models.external.spelling import CALIBRATION, ExternalName
from slashbench.contracts import Metrics, Model, Needs, Reference, Split
from slashbench.errors import UsageError

#: Several copies of the weights are held: as they came, in a module, quantized, decoded.
_COPIES = 6


class ExternalModel(Model):
    """A checkpoint of the user's own or of a hub, post-training recipes only."""

    licence: ClassVar[str] = "as its authors say"

    def __init__(self, name: ExternalName) -> None:
        self.name = name
        self.path = located(name.place)
        self.weights = WeightFiles(self.path)
        self.weights.check_whole()
        self.needs = Needs(memory_bytes=(1 << 30) + _COPIES * self._nbytes)

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    @property
    def folder(self) -> Path:
        """Return where configuration and tokenizer are."""
        return self.path if self.path.is_dir() else self.path.parent

    def inputs(self) -> dict[str, str]:
        """SHA-256 of the weights, of what says how they are used, and of the user's own files."""
        files = [*self.weights.files]
        if self.has_module:
            files += [self.folder / name for name in (loading.CONFIG, *loading.TOKENIZERS)]
        found = {file.name: file_sha256(file) for file in files if file.is_file()}
        return found | {f"{key} file": file_sha256(file) for key, file in self.name.files.items()}

    @property
    def has_module(self) -> bool:
        """Return whether the weights are loaded into a module that can be run."""
        return bool(self.name.evaluation or CALIBRATION in self.name.settings)

    def build(self, seed: int) -> nn.Module:
        """The module of transformers, or only its tensors where nothing is run."""
        return (
            loading.module_of(self.folder, self.weights)
            if self.has_module
            else Tensors(self.weights)
        )

    def calibration(self, seed: int) -> Iterator[Any]:
        """Batches of the text of `--calibration`. Raises UsageError where there is none."""
        raise UsageError(
            f"{self.name.text}: this recipe looks at data: give it some by --calibration text:FILE"
        )

    def is_embedding(self, name: str) -> bool:
        """Whether a tensor is an embedding table, by the names that transformers gives them."""
        return any(mark in name for mark in ("embed", "wte.", "wpe.", "shared."))

    @cached_property
    def _nbytes(self) -> int:
        return sum(tensor.entry.nbytes for tensor in self.weights.values())

    @property
    def weights_count(self) -> int:
        """Return how many floats there are."""
        return sum(each.entry.count for each in self.weights.values() if each.is_floating_point())


class Tensors(nn.Module):
    """The tensors of a checkpoint by name, without anything that could be run."""

    def __init__(self, weights: WeightFiles) -> None:
        super().__init__()
        made: dict[str, nn.Parameter] = {}
        for name, lazy in weights.items():
            # Names hold dots, which `register_parameter` would refuse.
            if not lazy.is_floating_point():
                self._buffers[name] = lazy.whole()
                continue
            first = weights.tied(name)
            if first not in made:
                made[first] = nn.Parameter(weights[first].whole(), requires_grad=False)
            self._parameters[name] = made[first]

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Do what the base class does, for names that hold dots."""
        for name, own in {**self._parameters, **self._buffers}.items():
            given = state_dict.get(prefix + name)
            if given is None or own is None:
                missing_keys.append(prefix + name)
            elif given.shape != own.shape:
                error_msgs.append(f"{name}: {list(given.shape)}, not {list(own.shape)}")
            else:
                with torch.no_grad():
                    own.copy_(given)


class WeightsOnly(ExternalModel):
    """A checkpoint without a metric of its own: how far its weights are from the float ones."""

    metric: ClassVar[str] = "relative error of weights"
    tolerance: ClassVar[float] = 0.01  # 1 % of a matrix's norm: no task says more

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean over tensors of the norm of the change over the norm."""
        if split == "train":
            raise UsageError(f"{self.name.text} was not trained here: it has no training data")
        before = reference.answers("itself", lambda known: known) if reference else module
        wanted = dict(before.named_parameters())
        errors = [_relative(p, wanted[n]) for n, p in module.named_parameters() if p.numel()]
        found = torch.tensor(errors, dtype=torch.float64)
        return Metrics(
            name=self.metric,
            value=float(found.mean()),
            stderr=float(found.std() / len(errors) ** 0.5) if errors[1:] else 0.0,
            n=len(errors),
            higher_is_better=False,
            per_item=errors,
        )


def _relative(one: torch.Tensor, other: torch.Tensor) -> float:
    change = norm = 0.0
    for begin in range(0, one.numel(), 1 << 22):
        a, b = (each.reshape(-1)[begin : begin + (1 << 22)] for each in (one, other))
        change += float((a.double() - b.double()).square().sum())
        norm += float(b.double().square().sum())
    return (change / norm) ** 0.5 if norm else float(change > 0)
