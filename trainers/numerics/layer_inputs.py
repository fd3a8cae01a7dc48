"""The linear layers of a model and what flows into them, found by forward hooks.

Layer-wise methods (Wanda, SparseGPT, GPTQ) treat one layer after another in the order in which they
run, so that each is fitted to what the treated ones before it put out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from slashbench.contracts import Calibration, Weights
from slashbench.errors import UsageError


class _Reached(Exception):
    """Raised when the layer asked about has run, to skip what follows it."""


class LinearLayers:
    """A model, its calibration batches, and its linear layers by the names of their weights.

    names: in order of execution, but a layer whose weight is an embedding table too (a tied head)
        comes first, since all others see the embedding. Layers that never run are left out, and
        those whose weight is none of `weights`: it is made of others, or not finite.
    tables: those of `names` that are embedding tables too.
    batches: how many calibration batches are drawn.
    """

    def __init__(self, weights: Weights, calibration: Calibration, batches: int) -> None:
        self.module = calibration.module(weights)
        self.batches = calibration.batches(batches)
        self._forward, self._whole = calibration.forward, calibration.whole
        parameters = list(self.module.named_parameters(remove_duplicate=False))
        names = {
            id(parameter): name
            for name, parameter in reversed(parameters)  # of tied names the first counts
            if name in weights
        }
        tables = {id(m.weight) for m in self.module.modules() if isinstance(m, nn.Embedding)}
        runs = [run for run in self._runs() if id(run[0].weight) in names]
        self._calls = Counter(id(layer) for layer, _ in runs)
        runs.sort(key=lambda run: id(run[0].weight) not in tables)  # stable: else as they run
        self._blocks = _Blocks(self.module, [layer for layer, _ in runs])
        self._inputs: dict[str, torch.Tensor] = {}  # of the first batch, to see who shares them
        self._layers: dict[str, nn.Linear] = {}
        for layer, inputs in runs:
            self._layers.setdefault(names[id(layer.weight)], layer)
            self._inputs.setdefault(names[id(layer.weight)], inputs)
        if not self._layers:
            raise UsageError(
                "no nn.Linear layer runs in this model, so there is nothing to calibrate; "
                "take a method that looks at weights alone, such as prune, quantize or rdoq"
            )
        self.names = list(self._layers)
        self.tables = {n for n, layer in self._layers.items() if id(layer.weight) in tables}

    def put(self, name: str, weight: torch.Tensor) -> None:
        """Let the model go on with this weight, of whichever module it is.

        It is a difference where those of the checkpoint are.
        """
        self.module.state_dict()[name].copy_(self._whole(name, weight))

    def moments(self) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, mean of x x^T over all inputs x of the layer: float64, (in, in)), layer by layer.

        What was `put` before the next layer is asked for has its effect on that layer's inputs.
        """
        last: tuple[torch.Tensor, torch.Tensor] | None = None  # inputs of the first batch, moment
        left = list(self._layers.values())
        with self._blocks.remembered():
            for name, layer in self._layers.items():
                inputs = self._inputs.pop(name)
                if last is None or last[0] is not inputs:  # query, key and value share their inputs
                    self._blocks.finish(left)
                    last = inputs, self._moment(name, layer)
                yield name, last[1]
                left.remove(layer)

    def cross(self, name: str, other: nn.Module) -> torch.Tensor:
        """Mean of x y^T over the inputs x of a layer in `other`, y here: float64, (in, in).

        other: the same model with other weights. Ask while `moments` is at the layer.
        """
        layer = self._layers[name]
        where = next(n for n, module in self.module.named_modules() if module is layer)
        twin = other.get_submodule(where)
        assert isinstance(twin, nn.Linear)
        total = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        count, calls = 0, self._calls[id(layer)]
        for index, batch in enumerate(self.batches):
            self._blocks.batch = index
            ours = self._inputs_of(self.module, layer, calls, batch)
            theirs = self._inputs_of(other, twin, calls, batch)
            total += theirs.T @ ours
            count += len(ours)
        return total / max(count, 1)

    @torch.no_grad()
    def _inputs_of(
        self, module: nn.Module, layer: nn.Linear, calls: int, batch: Any
    ) -> torch.Tensor:
        """Return all inputs of a layer on one batch as rows, float32."""
        rows: list[torch.Tensor] = []

        def keep(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            rows.append(arguments[0].reshape(-1, layer.in_features).float())
            if len(rows) == calls:
                raise _Reached

        with _hooked([layer], keep), suppress(_Reached):
            self._forward(module, batch)
        return torch.cat(rows)

    def _moment(self, name: str, layer: nn.Linear) -> torch.Tensor:
        total = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        count = calls = 0

        def add(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            nonlocal total, count, calls
            rows = arguments[0].reshape(-1, layer.in_features).float()
            total += rows.T @ rows
            count += len(rows)
            calls += 1
            if calls == self._calls[id(layer)]:
                raise _Reached

        with _hooked([layer], add):
            for index, batch in enumerate(self.batches):
                self._blocks.batch, calls = index, 0
                self._run(batch)
        if not torch.isfinite(total).all():
            raise UsageError(f"the inputs of {name} are not finite: training went wrong before it")
        return total / max(count, 1)

    def _runs(self) -> Iterator[tuple[nn.Linear, torch.Tensor]]:
        """Yield each linear layer and its input, as they run on the first batch."""
        seen: list[tuple[nn.Linear, torch.Tensor]] = []

        def note(layer: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            assert isinstance(layer, nn.Linear)
            seen.append((layer, arguments[0]))

        with _hooked([m for m in self.module.modules() if isinstance(m, nn.Linear)], note):
            for batch in self.batches[:1]:
                self._run(batch)
        yield from seen

    @torch.no_grad()
    def _run(self, batch: Any) -> None:
        with suppress(_Reached):
            self._forward(self.module, batch)


class _Blocks:
    """The repeated blocks of a model, each of which runs only once more when its layers are done.

    A layer's inputs depend on the weights before it alone. So a block whose layers have all been
    treated puts out the same for each batch from then on, and is not run again and again for the
    layers after it. Blocks are the members of a ModuleList that run once for every batch.

    Attributes
    ----------
    batch
        Index of the batch that is being run.
    """

    def __init__(self, module: nn.Module, runs: list[nn.Linear]) -> None:
        self.batch = 0
        once = {layer for layer, count in Counter(runs).items() if count == 1}
        self._layers: dict[nn.Module, set[nn.Linear]] = {}
        inner: set[nn.Module] = set()
        for blocks in module.modules():
            if isinstance(blocks, nn.ModuleList) and blocks not in inner:
                for block in blocks:
                    inner.update(block.modules())
                    layers = {m for m in block.modules() if isinstance(m, nn.Linear)}
                    if layers and layers <= once:
                        self._layers[block] = layers
        self._outputs: dict[tuple[nn.Module, int], Any] = {}
        self._finished: set[nn.Module] = set()

    def finish(self, left: list[nn.Linear]) -> None:
        """Let blocks remember what they put out that have none of the layers that are `left`."""
        for block, layers in self._layers.items():
            if block not in self._finished and layers.isdisjoint(left):
                self._finished.add(block)
                block.forward = partial(self._recall, block, block.forward)

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Forget all outputs when the context ends."""
        try:
            yield
        finally:
            for block in self._finished:
                del block.forward
            self._finished.clear()
            self._outputs.clear()

    def _recall(
        self, block: nn.Module, forward: Callable[..., Any], *args: Any, **more: Any
    ) -> Any:
        key = block, self.batch
        if key not in self._outputs:
            self._outputs[key] = forward(*args, **more)
        return tree_map(_copy, self._outputs[key])  # what comes next may work in place


def _copy(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, torch.Tensor) else leaf


@contextmanager
def _hooked(layers: list[nn.Linear], hook: Any) -> Iterator[None]:
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
