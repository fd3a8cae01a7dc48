"""The training loop: order of its hooks, same bits, and going on after a kill."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from slashbench.bench.store.store import Store
from slashbench.contracts import Execution, TrainingHook, TrainingPlan
from slashbench.errors import StoreUnusable, TrainingDiverged, UsageError
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.training import loop, snapshot
from slashbench.trainers.training.setup import seed_everything
from tests.helpers.snapshot_memory import SnapshotMemory

PLAN = TrainingPlan(steps=24, learning_rate=1e-2, warmup=2)


def batches(scale: float = 1.0) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    while True:
        yield torch.randn(8, 6, generator=generator) * scale


def squares(module: nn.Module, batch: Any) -> torch.Tensor:
    loss: torch.Tensor = (module(batch) - batch[:, :3]).square().mean()
    return loss


def network() -> nn.Module:
    seed_everything(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.1), nn.BatchNorm1d(16), nn.Linear(16, 3))


def run(
    hook: TrainingHook, scale: float = 1.0, **others: Any
) -> tuple[dict[str, torch.Tensor], loop.TrainingLog]:
    module = network().to(others.get("execution", Execution()).device)
    log = loop.train(module, batches(scale), squares, PLAN, hook, **others)
    return module.state_dict(), log


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_bits() -> None:
    first, log = run(TrainingHook())
    second, _ = run(TrainingHook())
    assert same(first, second)
    assert [row["step"] for row in log.rows] == list(range(1, 25))
    assert log.rows[-1]["loss"] < log.rows[0]["loss"]


def test_hooks_stand_around_the_passes_and_the_optimisers_step() -> None:
    calls: list[str] = []

    class Spy(TrainingHook):
        def before_forward(self) -> None:
            calls.append("forward")

        def before_step(self) -> None:
            calls.append("gradient")

        def after_step(self) -> None:
            calls.append("after")

    run(Spy())
    assert calls == ["forward", "gradient", "after"] * 24


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(TrainingDiverged, match="nan at step 1; lower the learning rate or lam"):
        run(TrainingHook(), scale=float("nan"))


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_optimiser() -> None:
    module = network()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}

    def steep(network: nn.Module, batch: Any) -> torch.Tensor:
        return (network(batch) * 0).sum().sqrt()  # 0, and infinite slope

    with pytest.raises(TrainingDiverged, match="the norm of the gradient is nan at step 1"):
        loop.train(module, batches(), steep, PLAN, TrainingHook())
    assert same(dict(module.named_parameters()), before)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_batches_that_end_are_an_error(accumulate: int) -> None:
    few = itertools.islice(batches(), 4)
    execution = Execution(accumulate=accumulate)
    with pytest.raises(UsageError, match="came to an end"):
        loop.train(network(), few, squares, PLAN, TrainingHook(), execution)


class Killed(Exception):
    pass


SETTINGS: dict[str, dict[str, Any]] = {
    "backslash": {"lam": 0.5, "update": "proximal", "warmup": 0.5},
    "backslash-q": {"lam": 0.1, "step": 2**-5},
    "qat": {"step": 2**-5},
    "norm": {"lam": 0.1},
    "gradual-prune": {"sparsity": 0.5},
}


CASES = [(name, SETTINGS.get(name, {})) for name in REGIMES.names()] + [
    ("backslash", {"lam": 0.5, "update": "gradient", "target": "2.0bits"}),
    ("backslash", {"lam": 0.5, "update": "gradient", "every": 4}),
    ("backslash-q", {"lam": 0.1, "step": 2**-5, "granularity": "channel", "begin": 0.5}),
    ("backslash-q", {"lam": 0.1, "step": 2**-5, "begin": 0.2, "classes": 4, "anneal": 0.5}),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize(("stopped", "unused"), [(1, False), (13, False), (13, True)])
def test_a_killed_run_goes_on_bit_for_bit(
    name: str,
    settings: dict[str, Any],
    stopped: int,
    unused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    regime = REGIMES.get(name)(**settings)

    def start(**others: Any) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
        module = network()
        if unused:
            module[0].spare = nn.Linear(3, 5)  # which never has a gradient
        regime.initialise(module)
        hook = regime.hook(dict(module.named_parameters()), PLAN)
        log = loop.train(module, batches(), squares, PLAN, hook, **others)
        return module.state_dict(), log.rows

    def die(step: int, steps: int, loss: float) -> None:
        if step == stopped + 4:
            raise Killed

    whole, rows = start()
    memory = SnapshotMemory(stopped)
    with pytest.raises(Killed):
        start(snapshots=memory, progress=die)
    assert memory.data is not None
    seen: list[int] = []
    resumed, later = start(snapshots=memory, progress=lambda step, steps, loss: seen.append(step))
    assert seen[0] == stopped + 1
    assert same(resumed, whole)
    assert later == rows


def test_a_damaged_snapshot_means_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    memory = SnapshotMemory(5)
    whole, _ = run(TrainingHook(), snapshots=memory)
    assert memory.data is not None
    for damaged in (b"", memory.data[:100], memory.data[:-7], b"\xff" * 64):
        broken = SnapshotMemory(0)
        broken.data = damaged
        again, log = run(TrainingHook(), snapshots=broken)
        assert same(again, whole)
        assert len(log.rows) == 24


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX")
def test_a_snapshot_goes_back_to_the_device_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW's count of steps too, which its fused kernel reads there; "meta" is no CPU either."""
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    memory = SnapshotMemory(5)
    run(TrainingHook(), snapshots=memory)
    module = network().to("meta")
    optimizer = torch.optim.AdamW(module.parameters())
    assert memory.data is not None
    snapshot.unpack(memory.data, module).restore(module, optimizer, TrainingHook())
    kept = [value for state in optimizer.state.values() for value in state.values()]
    assert {value.device.type for value in kept} == {"meta"}


def test_moments_go_back_to_the_device_of_what_they_are_of() -> None:
    """The count of steps too; one that never had a gradient has none."""
    there = [torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)]
    optimizer = torch.optim.AdamW(there)
    there[1].grad = torch.ones(2)
    optimizer.step()
    here = [torch.empty_like(tensor, device="meta") for tensor in there]
    again = torch.optim.AdamW(here)
    snapshot.load_moments(again, here, snapshot.moments(optimizer, there))
    assert here[0] not in again.state
    assert {key: value.device.type for key, value in again.state[here[1]].items()} == {
        "step": "meta", "exp_avg": "meta", "exp_avg_sq": "meta",
    }  # fmt: skip


def test_a_snapshot_that_does_not_fit_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    slot = Store(tmp_path).snapshot_slot("run")
    run(TrainingHook(), snapshots=slot)
    before = slot.read()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StoreUnusable, match="can't write"):
            slot.write(snapshot.pack(*fresh(), {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert slot.read() == before
    assert [path.name for path in (tmp_path / "training").iterdir()] == ["run.safetensors"]


def fresh() -> tuple[nn.Module, torch.optim.Optimizer, TrainingHook]:
    """Return what a training holds before its first step."""
    module = network()
    return module, torch.optim.AdamW(module.parameters()), TrainingHook()


def test_accumulated_batches_are_one_large_batch() -> None:
    def linear(execution: Execution, size: int) -> torch.Tensor:
        torch.manual_seed(0)
        module = nn.Linear(6, 3)
        source = batches()

        def wide() -> Iterator[torch.Tensor]:
            while True:
                yield torch.cat(list(itertools.islice(source, size)))

        loop.train(module, wide(), squares, PLAN, TrainingHook(), execution)
        return module.weight.detach()

    together = linear(Execution(), 4)
    in_turn = linear(Execution(accumulate=4), 1)
    assert in_turn.numpy() == pytest.approx(together.numpy(), rel=1e-4, abs=1e-6)


def test_bf16_keeps_float32_weights_and_trains() -> None:
    state, log = run(TrainingHook(), execution=Execution(precision="bf16"))
    full, _ = run(TrainingHook())
    assert state["0.weight"].dtype == torch.float32
    assert not same(state, full)
    assert log.rows[-1]["loss"] < log.rows[0]["loss"]


def test_execution_must_make_sense() -> None:
    with pytest.raises(UsageError, match="at least one batch"):
        Execution(accumulate=0)
    assert Execution(precision="bf16", accumulate=4).text == "bf16, 4 batches a step"


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["backslash:lam=10:update=gradient", "backslash-q:lam=1"])
def test_kill_minus_nine_and_the_same_command_again(regime: str, tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("killed_run.py")
        command = [sys.executable, str(script), str(folder), regime]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole, _ = start(tmp_path / "whole").communicate(timeout=120)
    killed_at = []
    for steps in (25, 30, 40):
        run = start(tmp_path / "killed")
        assert run.stdout is not None
        for line in itertools.islice(run.stdout, steps):
            last = line
        run.kill()
        run.wait()
        killed_at.append(int(last.split()[1]))
    resumed, _ = start(tmp_path / "killed").communicate(timeout=120)
    assert killed_at == sorted(set(killed_at))  # each went on where the last one was killed
    assert 60 < int(resumed.split()[1]) <= killed_at[-1] + 2
    assert resumed.split()[-1] == whole.split()[-1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_trains_as_the_cpu_does() -> None:
    state, _ = run(TrainingHook(), execution=Execution(device="cuda"))
    on_cpu, _ = run(TrainingHook())
    for name in state:
        assert state[name].cpu().numpy() == pytest.approx(on_cpu[name].numpy(), abs=1e-2)
