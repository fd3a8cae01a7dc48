"""The limit of a checkpoint: how its metric feels the directions of its matrices."""

from __future__ import annotations

import math
import time

import torch
from torch import nn

from slashbench.bench.pipeline import keys
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.contracts import Calibration, Model
from slashbench.record import PER_OCTAVE, LimitRecord, MatrixSpectrum, key_of, loss_of
from slashbench.trainers.numerics.spectrum import FeltMatrix, felt_matrices

REVISION = 1
_NOISE = 0.02  # of each matrix's deviation, for the metric beside the loss


def found(stages: Stages, cell: Cell, batches: int) -> LimitRecord:
    """Return the limit of the checkpoint that a cell's links train; made if it is not there."""
    depth = cell.recipe.trained
    checkpoint = keys.checkpoint_key(cell, depth)
    key = key_of("limit", checkpoint=checkpoint, batches=batches, revision=REVISION)
    known = stages.store.get(LimitRecord, key)
    if known is not None:
        return known
    started = time.perf_counter()
    point = stages.checkpoint(cell, depth)
    weights = stages.weights.load(point)
    calibration = Calibration(cell.model.item, cell.seed)
    module, matrices = felt_matrices(weights, calibration, batches)
    scale = _metric_for_a_nat(cell.model.item, module, calibration, matrices, batches)
    coded = sum(felt.felt.numel() for felt in matrices.values())
    kept = {id(w): w for n, w in module.named_parameters() if n not in matrices}
    record = LimitRecord(
        key=key,
        status="ok",
        wall_s=time.perf_counter() - started,
        provenance=stages.records.provenance(cell),
        model=cell.model.text,
        recipe=cell.recipe.training,
        execution=cell.execution_text,
        seed=cell.seed,
        weights_sha256=point.weights_sha256,
        matrices=[spectrum(name, felt, scale) for name, felt in matrices.items()],
        kept_bits=8.0 * sum(w.numel() * w.element_size() for w in kept.values()),
        n_parameters=coded + sum(w.numel() for w in kept.values()),
        scale=scale,
        calibration_sha256=calibration.sha256,
    )
    stages.store.put(record)
    return record


def spectrum(name: str, felt: FeltMatrix, scale: float) -> MatrixSpectrum:
    """Return a matrix's directions counted by parts of an octave."""
    values = felt.felt[felt.felt > 0] * scale
    if not len(values):
        low, counts = 0, torch.zeros(1)
    else:
        places = (values.log2() * PER_OCTAVE).floor().long()
        low = math.floor(int(places.min()) / PER_OCTAVE)
        counts = torch.bincount(places - low * PER_OCTAVE)
    return MatrixSpectrum(
        name=name,
        n=felt.felt.numel(),
        low=low,
        counts=[int(count) for count in counts],
        columns_bits=felt.columns_bits,
        rows_bits=felt.rows_bits,
    )


@torch.no_grad()
def _metric_for_a_nat(
    model: Model,
    module: nn.Module,
    calibration: Calibration,
    matrices: dict[str, FeltMatrix],
    batches: int,
) -> float:
    """Return the rise of the metric on validation data for one of the loss, under noise."""
    drawn = calibration.batches(batches)
    kept = {name: module.get_parameter(name).detach().clone() for name in matrices}
    generator = torch.Generator().manual_seed(calibration.seed)
    noise = {
        name: _NOISE * weight.std() * torch.randn(weight.shape, generator=generator)
        for name, weight in kept.items()
    }
    losses, metrics = {}, {}
    for sign in (-1.0, 0.0, 1.0):
        for name, weight in kept.items():
            module.get_parameter(name).copy_(weight + sign * noise[name])
        module.eval()
        losses[sign] = sum(float(calibration.forward(module, b)) for b in drawn) / len(drawn)
        found = model.evaluate(module, "validation")
        metrics[sign] = loss_of(found.value, 0.0, found.higher_is_better)
    for name, weight in kept.items():
        module.get_parameter(name).copy_(weight)
    rises = [0.5 * (v[-1.0] + v[1.0]) - v[0.0] for v in (losses, metrics)]
    return rises[1] / rises[0] if min(rises) > 0 else 1.0
