"""Batches of training texts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from slashbench.bench.models.text_classifier import TextClassifier


def test_a_batch_larger_than_all_texts_is_all_of_them() -> None:
    rows = [[1], [1, 2], [1, 2, 3]]
    model: Any = SimpleNamespace(_part={"train": (rows, torch.arange(3))}, batch=32, padding=0)
    model.padded = lambda rows: TextClassifier.padded(model, rows)
    ids, mask, labels = next(TextClassifier.batches(model, 0))
    assert (ids.shape, int(mask.sum())) == ((3, 3), 6)
    assert sorted(labels.tolist()) == [0, 1, 2]
