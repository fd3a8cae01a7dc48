"""Primary metrics are paired losses; what stands beside them compares with a reference."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from slashbench.bench.models import scoring
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.contracts import Reference


def test_known_distributions() -> None:
    half = torch.log(torch.tensor([[0.5, 0.5], [0.75, 0.25]], dtype=torch.float64))
    other = torch.log(torch.tensor([[0.25, 0.75], [0.75, 0.25]], dtype=torch.float64))
    found = scoring.answers(other, torch.tensor([0, 0]), half)
    np.testing.assert_allclose(found.nats, [math.log(4), math.log(4 / 3)])
    np.testing.assert_allclose(
        found.kl, [0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0.0], atol=1e-12
    )
    assert found.right.tolist() == [False, True]
    assert found.same_top is not None and found.same_top.tolist() == [False, True]
    assert found.flipped is not None and found.flipped.tolist() == [True, False]
    also = scoring.cross_entropy(found).also
    assert (also["accuracy"], also["same_top"], also["flips"]) == (50.0, 50.0, 50.0)


def test_without_a_reference_nothing_is_compared() -> None:
    found = scoring.cross_entropy(scoring.answers(torch.zeros(3, 2), torch.tensor([0, 1, 0])))
    assert set(found.also) == {"accuracy"}


def test_batches_join_in_order() -> None:
    logits, targets = torch.randn(7, 5), torch.randint(5, (7,))
    whole = scoring.answers(logits, targets, logits.flip(0))
    parts = [
        scoring.answers(logits[s], targets[s], logits.flip(0)[s])
        for s in (slice(0, 3), slice(3, 7))
    ]
    joined = scoring.joined(parts)
    np.testing.assert_allclose(joined.nats, whole.nats)
    np.testing.assert_allclose(joined.kl, whole.kl)


@pytest.mark.parametrize(
    "name", ["digits-mlp", pytest.param("kjv-gpt", marks=pytest.mark.thorough)]
)
def test_a_model_beside_itself_differs_by_nothing(name: str) -> None:
    model = MODELS.get(name)()
    torch.manual_seed(0)
    module = model.build(0)
    found = model.evaluate(module, "validation", Reference(copy.deepcopy(module)))
    assert found.also["kl"] == pytest.approx(0.0, abs=1e-9)
    assert (found.also["flips"], found.also["same_top"]) == (0.0, 100.0)
    assert found.value == pytest.approx(float(np.mean(found.per_item)))
    assert not found.higher_is_better


def test_noise_on_the_weights_shows_where_accuracy_is_silent() -> None:
    model = DigitsMLP()
    torch.manual_seed(0)
    module = model.build(0)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _, batch in zip(range(300), model.batches(0), strict=False):
        optimizer.zero_grad()
        model.loss(module, batch).backward()
        optimizer.step()
    noisy = copy.deepcopy(module)
    with torch.no_grad():
        for weight in nn.ModuleList([noisy]).parameters():
            weight += 0.02 * torch.randn_like(weight)
    before, after = model.evaluate(module, "test"), model.evaluate(noisy, "test", Reference(module))
    delta = np.array(after.per_item) - np.array(before.per_item)
    assert after.also["kl"] > 5 * after.also["kl_stderr"] > 0
    assert scoring.standard_error(delta) < before.stderr / 2  # pairing pays


def test_a_reference_is_asked_once() -> None:
    asked: list[nn.Module] = []

    def ask(module: nn.Module) -> int:
        asked.append(module)
        return len(asked)

    reference = Reference(nn.Identity())
    assert [reference.answers(q, ask) for q in ("test", "test", "validation")] == [1, 1, 2]
