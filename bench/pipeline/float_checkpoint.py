"""Float checkpoints: trained, or as a model comes with them, and what a record says of them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from slashbench.bench.checkpoint import state_dict, update
from slashbench.bench.pipeline import distribution, torchrun
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.plan.matrix import Cell
from slashbench.contracts import Model, Weights
from slashbench.record import Training
from slashbench.trainers.training import loop, setup
from slashbench.trainers.training.snapshot import SnapshotStore


def train(
    cell: Cell,
    depth: int,
    key: str,
    store: str,
    snapshots: SnapshotStore,
    progress: loop.Progress,
    before: setup.Trained | None = None,
) -> tuple[Weights, Training | None]:
    """Train the cell's model, in as many processes as its execution asks for.

    Parameters
    ----------
    depth
        Of the link that trains: how many stand before it.
    key, store
        Of the checkpoint, and where several processes keep its snapshots.
    snapshots
        Of the snapshot of one process.
    progress
        Called after every step.
    before
        What the links before it have made.

    Returns
    -------
    The weights, and what training cost: None for a model that comes with its weights.
    """
    model = cell.model.item
    if model.plan is None:
        setup.seed_everything(cell.seed)
        return model.build(cell.seed).state_dict(), None
    if cell.execution.processes > 1:
        state, log = torchrun.train(cell, depth, key, store, progress, before)
    else:
        regime = cell.recipe.regime_at(depth)
        state, log = setup.train_model(
            model, regime, cell.seed, cell.execution, progress, snapshots, before
        )
    return state, Training(steps=log.steps, wall_s=log.wall_s, cpu_s=log.cpu_s, log=log.rows)


def with_cost(training: Training, before: Training) -> Training:
    """Return a training whose steps and times are those of an earlier one too."""
    return msgspec.structs.replace(
        training,
        steps=training.steps + before.steps,
        wall_s=training.wall_s + before.wall_s,
        cpu_s=training.cpu_s + before.cpu_s,
    )


def fields(model: Model, state: Weights, buffers: Collection[str]) -> Fields:
    """Return what a record says of a checkpoint's weights.

    buffers: names that are no parameters.
    """
    others = {*state_dict.tied_names(state), *buffers}
    parameters = [w for name, w in state.items() if name not in others and w.is_floating_point()]
    return {
        "inputs": model.inputs(),
        "weights_sha256": update.weights_sha256(state_dict.to_numpy(state)),
        "n_parameters": sum(w.numel() for w in parameters),
        "native_bytes": sum(w.numel() * w.element_size() for w in parameters),
        "distribution": distribution.describe([w.detach().float().numpy() for w in parameters]),
    }
