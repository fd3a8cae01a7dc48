"""Keys of records: hashes of all that determines what a stage finds; and which cell they are of."""

from __future__ import annotations

from typing import Any

import torch

from slashbench.bench.checkpoint import encoder, file_format
from slashbench.bench.plan.matrix import Cell
from slashbench.contracts import Split
from slashbench.link import Link
from slashbench.record import key_of
from slashbench.trainers.training import loop

Fields = dict[str, Any]  # of a record


def checkpoint_key(cell: Cell, depth: int) -> str:
    """Return the key of the checkpoint after training and the first `depth` transforms."""
    model = cell.model.item
    return key_of(
        "checkpoint",
        model=cell.model.identity,
        inputs=model.inputs(),
        regime=cell.recipe.regime.identity if model.plan else "as they came",
        transforms=[link.identity for link in cell.recipe.transforms[:depth]],
        seed=cell.seed,
        execution=cell.execution.config if model.plan else {},
        loop=loop.REVISION,
        torch=torch.__version__,
    )


def compress_key(cell: Cell) -> str:
    """Return the key of the cell's compressed file."""
    return key_of(
        "compress",
        checkpoint=checkpoint_key(cell, len(cell.recipe.transforms)),
        quantiser=cell.recipe.quantiser.identity,
        codec=cell.codec.identity,
        format=[file_format.FORMAT, encoder.REVISION],
    )


def evaluate_key(cell: Cell, weights_sha256: str, reference_sha256: str, split: Split) -> str:
    """Return the key of the metric of these weights, whichever recipe or codec led to them.

    reference_sha256: of the weights they are compared with; empty for the reference itself.
    """
    return key_of(
        "evaluate",
        model=cell.model.identity,
        inputs=cell.model.item.inputs(),
        split=split,
        weights=weights_sha256,
        reference=reference_sha256,
        torch=torch.__version__,
    )


def answer_key(evaluation: str, question: str) -> str:
    """Return the key of a float model's answers. evaluation: the key of its own metric."""
    return key_of("answer", evaluation=evaluation, question=question)


def time_key(compress: str, machine: str) -> str:
    """Return the key of the timing of a file's codec on one kind of machine."""
    return key_of("time", compress=compress, machine=machine)


def cell_key(cell: Cell, machine: str) -> str:
    """Return the key of the cell's record; its times are those of one kind of machine."""
    return key_of("cell", compress=compress_key(cell), machine=machine)


def code(cell: Cell) -> dict[str, str]:
    """Return the code that the cell runs beside that of slashbench: plug-ins and libraries."""
    recipe = cell.recipe
    links: list[Link[Any]] = [cell.model, recipe.regime, *recipe.transforms, recipe.quantiser]
    links.append(cell.codec)
    return {name: found for link in links for name, found in link.code.items()}


def checkpoint_fields(cell: Cell, depth: int) -> Fields:
    """Return the fields that say which checkpoint a record is of."""
    links: list[Link[Any]] = [cell.recipe.regime, *cell.recipe.transforms[:depth]]
    return {
        "model": cell.model.text,
        "recipe": "+".join(link.text for link in links),
        "execution": cell.execution_text,
        "seed": cell.seed,
    }


def cell_fields(cell: Cell) -> Fields:
    """Return the fields that say which cell a record belongs to."""
    return {
        "model": cell.model.text,
        "recipe": cell.recipe.text,
        "execution": cell.execution_text,
        "codec": cell.codec.text,
        "seed": cell.seed,
    }
