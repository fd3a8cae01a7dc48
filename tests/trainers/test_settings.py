"""Every registered class, and every public one, refuses bad settings itself."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

import slashbench
from slashbench import selector
from slashbench.contracts import Execution, TrainingPlan
from slashbench.errors import BadSetting
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS
from slashbench.trainers.regimes.backslash import BackSlash, BackSlashRegime
from slashbench.trainers.training.schedule import Strength


def bad_values(kind: Any) -> list[Any]:
    """Values that no setting of that type can have."""
    kinds = typing.get_args(kind) or (kind,)
    if typing.get_origin(kind) is typing.Literal:
        return ["nonsense", kinds[0].upper()] if isinstance(kinds[0], str) else [-1]
    if float in kinds:
        return [math.nan, math.inf, -1.0]
    return [-1] if int in kinds else []


def cases() -> Iterator[Any]:
    """Every setting of every entry, those to come included."""
    for registry in (REGIMES, TRANSFORMS, QUANTISERS):
        for name in registry.names():
            cls = registry.get(name)
            for setting in selector.settings_of(cls):
                for value in bad_values(setting.type):
                    case = f"{name}:{setting.name}={value}"
                    yield pytest.param(cls, {setting.name: value}, id=case)


@pytest.mark.parametrize(("cls", "settings"), list(cases()))
def test_a_registered_class_refuses(cls: Any, settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(BadSetting, match=name):
        cls(**settings)


BACKSLASH = [
    {"lam": -1.0}, {"lam": math.nan}, {"lam": math.inf}, {"lam": "10"},
    {"update": "Gradient"}, {"scope": "matrix"}, {"shapes": "per_tensor"},
    {"eps": 0.0}, {"eps": -1.0}, {"eps": math.nan},
    {"every": 0}, {"every": 1.5}, {"every": True},
    {"shape": 0.0}, {"shape": math.nan},
]  # fmt: skip


@pytest.mark.parametrize("settings", BACKSLASH, ids=str)
def test_backslash_refuses_at_construction(settings: dict[str, Any]) -> None:
    (name,) = settings
    module = nn.Linear(4, 4)
    with pytest.raises(BadSetting, match=f"{name}=.* must be"):
        slashbench.BackSlash(module, **settings)


@pytest.mark.parametrize("settings", BACKSLASH, ids=str)
def test_the_callback_refuses_before_training(settings: dict[str, Any]) -> None:
    pytest.importorskip("transformers")
    (name,) = settings
    with pytest.raises(BadSetting, match=f"{name}=.* must be"):
        slashbench.BackSlashCallback(**settings)


def test_a_slip_of_the_pen_is_told_what_was_meant() -> None:
    with pytest.raises(BadSetting, match="decoupled or proximal; did you mean 'gradient'"):
        slashbench.BackSlash(nn.Linear(4, 4), update="Gradient")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shares", [(-0.1, 0.0), (0.7, 0.7), (math.nan, 0.0), (0.0, math.nan)], ids=str
)
def test_a_schedule_refuses_what_are_no_shares(shares: tuple[float, float]) -> None:
    with pytest.raises(BadSetting, match="shares of the run"):
        Strength(10, *shares)


@pytest.mark.parametrize(
    "settings", [{"precision": "bf32"}, {"sharding": "fsdp"}, {"accumulate": 0}, {"processes": 0}]
)
def test_an_execution_refuses(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(slashbench.errors.UsageError, match=name):
        Execution(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": -5},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"warmup": -1},
        {"weight_decay": -0.1},
        {"clip_norm": 0.0},
    ],
    ids=str,
)
def test_a_plan_refuses(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(BadSetting, match=name):
        TrainingPlan(**{"steps": 10, "learning_rate": 1e-3, "warmup": 0} | settings)


def defaults(cls: Any) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def test_backslash_has_one_set_of_defaults() -> None:
    """As a class, as a regime of `bench run`, and as a callback."""
    pytest.importorskip("transformers")
    ours, regime = defaults(BackSlash), defaults(BackSlashRegime)
    assert (ours["update"], ours["eps"], ours["scope"]) == ("decoupled", 1.0, "all")
    shared = ours.keys() & regime.keys()
    assert shared == {"lam", "update", "eps", "scope", "shapes", "every"}
    assert {name: ours[name] for name in shared} == {name: regime[name] for name in shared}
    assert defaults(slashbench.BackSlashCallback) == ours
