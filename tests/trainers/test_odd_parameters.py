"""Parameters in narrow dtypes, frozen or replaced later, and of kinds that can't be constrained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from slashbench.contracts import TrainingHook, TrainingPlan
from slashbench.errors import UsageError
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.regimes.backslash import BackSlash
from slashbench.trainers.regimes.backslash_q import BackSlashQ
from slashbench.trainers.regimes.gradual_prune import GradualPrune
from slashbench.trainers.regimes.qat import QuantizationAware

PLAN = TrainingPlan(steps=20, learning_rate=1e-2, warmup=2)

NARROW = [torch.bfloat16, torch.float16]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def weight(dtype: torch.dtype) -> nn.Parameter:
    """The same values in every dtype: those of bfloat16 with fewer digits yet fit all."""
    torch.manual_seed(0)
    values = (torch.randn(64, 64) * 0.03).to(torch.bfloat16).to(torch.float16)
    return nn.Parameter(values.to(dtype))


class TestNarrow:
    @pytest.mark.parametrize("dtype", NARROW)
    @pytest.mark.parametrize("update", ["decoupled", "proximal"])
    def test_steps_below_the_last_place_add_up(self, update: Any, dtype: torch.dtype) -> None:
        """A step of 1e-6 on weights of 0.03, whose last place in bfloat16 is 1e-4."""
        ends = {}
        for kind in (torch.float32, dtype):
            ends[kind] = weight(kind)
            hook = BackSlash({"w": ends[kind]}, lam=4e-3, update=update, shape=1.0)
            for _ in range(200):
                hook.after_step()
        place = torch.finfo(dtype).eps
        assert torch.allclose(ends[dtype].float(), ends[torch.float32], rtol=place / 2, atol=1e-6)
        moved = (weight(dtype) - ends[dtype]).abs()
        assert (moved > 0).double().mean() > 0.9

    @pytest.mark.parametrize("dtype", NARROW)
    @pytest.mark.parametrize("regime", ["backslash:gradient", "backslash-q"])
    def test_a_slope_below_the_gradients_last_place_adds_up(
        self, regime: str, dtype: torch.dtype
    ) -> None:
        added = {}
        for kind in (torch.float32, dtype):
            named = {"w": weight(kind)}
            hook: TrainingHook = (
                BackSlash(named, lam=1.0, update="gradient", shape=1.0)
                if regime == "backslash:gradient"
                else BackSlashQ(lam=0.1, step=2**-6, begin=0.0, warmup=0.0).hook(named, PLAN)
            )
            total = torch.zeros(64, 64, dtype=torch.float64)
            for _ in range(100):
                named["w"].grad = torch.ones(64, 64, dtype=kind)  # its last place: 8e-3 or 1e-3
                hook.before_step()
                total += named["w"].grad.double() - 1
                hook.after_step()
            added[kind] = total.abs().mean().item()
        assert added[torch.float32] > 0
        assert added[dtype] == pytest.approx(added[torch.float32], rel=0.1)

    @pytest.mark.parametrize("dtype", NARROW)
    def test_figures_are_those_of_float32(self, dtype: torch.dtype) -> None:
        """float16 holds sums up to 65504 and squares above 6e-8 only."""
        seen = {}
        for kind in (torch.float32, dtype):
            torch.manual_seed(0)
            values = (torch.randn(300, 300) * 1e-3).to(torch.bfloat16).to(torch.float16)
            hook = BackSlash({"w": nn.Parameter(values.to(kind))}, lam=0.0)
            hook.after_step()
            seen[kind] = hook.log()
        assert seen[dtype] == pytest.approx(seen[torch.float32], rel=1e-3)

    def test_a_gradient_that_is_not_finite_leaves_no_trace(self) -> None:
        """As a loss scaler finds one now and then, and skips the step."""
        named = {"w": weight(torch.float16)}
        hook = BackSlash(named, lam=1.0, update="gradient", shape=1.0)
        for value in (torch.inf, 1.0):
            named["w"].grad = torch.full((64, 64), value, dtype=torch.float16)
            hook.before_step()
            hook.after_step()
        assert named["w"].grad is not None
        assert named["w"].grad.isfinite().all()

    def test_float8_moves(self) -> None:
        parameter = nn.Parameter(weight(torch.float32).detach().to(torch.float8_e4m3fn))
        before = parameter.detach().float().abs().mean().item()
        hook = BackSlash({"w": parameter}, lam=0.4, shape=1.0)
        for _ in range(100):
            hook.after_step()
        assert parameter.detach().float().abs().mean().item() < before - 2e-3

    def test_a_stopped_run_goes_on_with_what_rounding_left(self) -> None:
        def run(parameter: nn.Parameter, hook: BackSlash, steps: int) -> None:
            for _ in range(steps):
                hook.after_step()

        whole, stopped = weight(torch.bfloat16), weight(torch.bfloat16)
        settings: dict[str, Any] = {"lam": 4e-3, "shape": 1.0}
        run(whole, BackSlash({"w": whole}, **settings), 100)
        first = BackSlash({"w": stopped}, **settings)
        run(stopped, first, 50)
        second = BackSlash({"w": stopped}, **settings)
        second.load_state(first.state())
        run(stopped, second, 50)
        assert torch.equal(whole, stopped)

    def test_float32_keeps_no_remainder(self) -> None:
        hook = BackSlash({"w": weight(torch.float32)}, lam=1.0)
        hook.after_step()
        assert not [key for key in hook.state() if "remainder" in key]

    def test_rounding_in_the_forward_pass_is_that_of_float32(self) -> None:
        """0.3 / 0.1 in bfloat16 is 3.0156, and so on: integers must not depend on the dtype."""
        values = torch.arange(1, 65, dtype=torch.float32).view(8, 8) * 0.1 + 0.0499
        named = {"w": nn.Parameter(values.to(torch.bfloat16))}
        expected = (named["w"].detach().float() / 0.1).round() * 0.1
        QuantizationAware(step=0.1, begin=0.0).hook(named, PLAN).before_forward()
        assert torch.equal(named["w"], expected.to(torch.bfloat16))


def one_step(hook: TrainingHook, module: nn.Module) -> None:
    hook.before_forward()
    module(torch.ones(2, 16)).square().sum().backward()
    hook.before_step()
    hook.after_step()


SETTINGS = {"backslash": {"lam": 5.0}, "norm": {"lam": 5.0}}

HOOKS: dict[str, Callable[[nn.Module], TrainingHook]] = {
    "BackSlash": lambda module: BackSlash(module, lam=5.0),
    "gradient": lambda module: BackSlash(module, lam=5.0, update="gradient"),
    **{
        name: lambda module, name=name: REGIMES.get(name)(**SETTINGS.get(name, {})).hook(  # type: ignore[misc]
            dict(module.named_parameters()), PLAN
        )
        for name in REGIMES.names()
    },
}


@pytest.mark.parametrize("name", HOOKS)
def test_what_is_frozen_later_stays(name: str) -> None:
    module = network()
    hook = HOOKS[name](module)
    module[0].weight.requires_grad_(False)
    module[0].weight.grad = None
    before = module[0].weight.detach().clone()
    for _ in range(PLAN.steps):
        one_step(hook, module)
    hook.finish()
    assert torch.equal(module[0].weight, before)


class TestReplaced:
    def moves(self, module: nn.Module, hook: BackSlash, parameter: nn.Parameter) -> bool:
        before = parameter.detach().clone()
        hook.after_step()
        return not torch.equal(before, parameter)

    def test_loaded_in_place_of_the_old_ones(self) -> None:
        module = network()
        hook = BackSlash(module, lam=5.0)
        copies = {key: value.clone() for key, value in module.state_dict().items()}
        module.load_state_dict(copies, assign=True)
        assert self.moves(module, hook, module[0].weight)

    def test_a_new_head(self) -> None:
        module = network()
        hook = BackSlash(module, lam=5.0)
        module[2] = nn.Linear(32, 7)
        assert self.moves(module, hook, module[2].weight)

    def test_unfrozen(self) -> None:
        module = network()
        module[0].requires_grad_(False)
        hook = BackSlash(module, lam=5.0)
        hook.after_step()
        module[0].requires_grad_(True)
        assert self.moves(module, hook, module[0].weight)

    def test_all_frozen_for_a_while(self) -> None:
        module = network()
        hook = BackSlash(module, lam=5.0)
        module.requires_grad_(False)
        hook.after_step()
        assert hook.steps == 1


class TestKinds:
    def test_complex_is_refused_by_name(self) -> None:
        module = nn.Module()
        module.phase = nn.Parameter(torch.randn(8, 8, dtype=torch.complex64))
        with pytest.raises(UsageError, match=r"phase is torch\.complex64.*view_as_real"):
            BackSlash(module, lam=0.1)

    def test_meta_is_refused_by_name(self) -> None:
        with pytest.raises(UsageError, match=r"weight is on the meta device: load or initialise"):
            BackSlash(nn.Linear(8, 8, device="meta"), lam=0.1)

    def test_not_initialised_is_refused_by_name(self) -> None:
        with pytest.raises(UsageError, match="weight is not initialised yet: run one forward pass"):
            BackSlash(nn.LazyLinear(8), lam=0.1)

    @pytest.mark.parametrize("hook", ["gradient", "backslash-q"])
    def test_a_sparse_gradient_is_refused_by_name(self, hook: str) -> None:
        module = nn.Embedding(50, 16, sparse=True)
        module(torch.tensor([1, 2])).sum().backward()
        with pytest.raises(UsageError, match=r"gradient of weight is sparse.*sparse=False"):
            HOOKS[hook](module).before_step()

    def test_a_decoupled_step_asks_for_no_gradient(self) -> None:
        module = nn.Embedding(50, 16, sparse=True)
        module(torch.tensor([1, 2])).sum().backward()
        before = module.weight.detach().clone()
        BackSlash(module, lam=0.1).after_step()
        assert module.weight.norm() < before.norm()

    @pytest.mark.parametrize("update", ["decoupled", "gradient", "proximal"])
    def test_weights_that_start_at_zero(self, update: Any) -> None:
        """As the second matrix of LoRA does."""
        parameter = nn.Parameter(torch.zeros(8, 8))
        parameter.grad = torch.ones(8, 8)
        hook = BackSlash({"b": parameter}, lam=0.1, update=update)
        hook.before_step()
        hook.after_step()
        assert hook.log()["zeros"] == 1.0


class TestForms:
    """What torch's optimisers take, BackSlash takes."""

    FORMS: ClassVar[dict[str, Callable[[nn.Module], Any]]] = {
        "generator": lambda m: m.parameters(),
        "names": lambda m: m.named_parameters(),
        "list": lambda m: list(m.parameters()),
        "twice": lambda m: [*m.parameters(), *m.parameters()],
        "dict": lambda m: dict(m.named_parameters()),
        "groups": lambda m: [
            {"params": [m[0].weight, m[0].bias], "lr": 1.0},
            {"params": m[2].parameters()},
        ],
        "group of one": lambda m: [{"params": p} for p in m.parameters()],
    }

    @pytest.mark.parametrize("form", FORMS)
    def test_they_act_alike(self, form: str) -> None:
        whole, listed = network(), network()
        BackSlash(whole, lam=5.0).after_step()
        BackSlash(self.FORMS[form](listed), lam=5.0).after_step()
        for expected, found in zip(whole.parameters(), listed.parameters(), strict=True):
            assert torch.equal(expected, found)

    @pytest.mark.parametrize("wrong", [nn.Parameter(torch.ones(3)), 3, ["w"], [nn.Linear(2, 2)]])
    def test_anything_else_is_refused(self, wrong: Any) -> None:
        with pytest.raises(UsageError, match=r"can't be constrained|not a parameter"):
            BackSlash(wrong, lam=0.1)

    def test_nothing_is_refused_without_bad_advice(self) -> None:
        with pytest.raises(UsageError, match=r"nothing to constrain$"):
            BackSlash(nn.ReLU(), lam=0.1)


def test_pruning_counts_exactly_where_weights_repeat() -> None:
    """As those do that lie on a grid, or in bfloat16."""
    named = {"w": nn.Parameter(torch.ones(10, 10) * torch.tensor([1.0, -1.0]).repeat(5))}
    hook = GradualPrune(sparsity=0.5, begin=0.0, end=0.05).hook(named, PLAN)
    for _ in range(PLAN.steps):
        hook.after_step()
    assert int((named["w"] == 0).sum()) == 50


def test_frozen_matrices_are_rounded_in_the_forward_pass_and_stay() -> None:
    """The file has them rounded, so the loss sees them so."""
    module = network()
    module[0].weight.requires_grad_(False)
    before = module[0].weight.detach().clone()
    regime = BackSlashQ(lam=0.1, step=0.25, begin=0.1, granularity="channel")
    hook = regime.hook(dict(module.named_parameters()), PLAN)
    for _ in range(3):
        one_step(hook, module)
    hook.before_forward()
    assert torch.equal(module[0].weight, (before / 0.25).round() * 0.25)
    hook.before_step()
    hook.finish()
    assert torch.equal(module[0].weight, before)
