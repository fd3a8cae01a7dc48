"""A Lagrange multiplier that is found during training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.trainers.regimes.backslash import BackSlashRegime
from slashbench.trainers.regimes.backslash_q import BackSlashQ
from slashbench.trainers.regimes.target_rate import parse
from slashbench.trainers.training import loop
from slashbench.trainers.training.setup import seed_everything


@pytest.mark.parametrize(
    ("regime", "bits"),
    [
        (BackSlashRegime(lam=1.0, update="gradient", target="2.5bits"), 2.5),
        (BackSlashQ(lam=0.01, step=2**-3, target="0.6bits"), 0.6),
    ],
    ids=["backslash", "backslash-q"],
)
@pytest.mark.thorough
def test_a_run_ends_near_the_wanted_size(regime: Any, bits: float) -> None:
    model = DigitsMLP(steps=900)
    seed_everything(0)
    module = model.build(0)
    plan = regime.plan(model.plan)
    with loop.threads(1):
        hook = regime.hook(dict(module.named_parameters()), plan)
        log = loop.train(module, model.batches(0), model.loss, plan, hook)
        accuracy = model.evaluate(module, "validation").also["accuracy"]
    assert log.rows[-1]["bits"] == pytest.approx(bits, rel=0.15)
    assert log.rows[-1]["lam"] != log.rows[100]["lam"]
    assert accuracy > 90


def test_state_holds_the_multiplier() -> None:
    named = {"w": torch.nn.Parameter(torch.randn(20, 20))}
    regime = BackSlashRegime(lam=1.0, update="proximal", target="1.5bits")
    plan = DigitsMLP(steps=40).plan
    first, second = (regime.hook(named, plan) for _ in range(2))
    for _ in range(11):
        first.before_forward()
        first.after_step()
    second.load_state(first.state())
    assert second.log()["bits"] == first.log()["bits"]
    assert {k: v.tolist() for k, v in second.state().items()} == {
        k: v.tolist() for k, v in first.state().items()
    }


@pytest.mark.parametrize("text", ["2bit", "bits", "-1bits", "0bits", "2", "2.0 bits"])
def test_a_target_is_bits_per_parameter(text: str) -> None:
    with pytest.raises(ValueError, match=r"2\.0bits"):
        BackSlashRegime(target=text)
    assert parse("2.0bits") == 2.0
    assert parse("") is None
