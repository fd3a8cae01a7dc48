"""What each training regime promises, on small networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy, kstest
from torch import nn

from slashbench.contracts import TrainingPlan
from slashbench.errors import TrainingDiverged, Unencodable, UsageError
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.numerics import code_length, ggd, length_classes
from slashbench.trainers.numerics.row_sensitivity import FLOOR, RowSensitivity
from slashbench.trainers.quantisers.ongrid import OnGrid
from slashbench.trainers.recipe import recipes
from slashbench.trainers.regimes.backslash_q import BackSlashQ
from slashbench.trainers.regimes.gg_init import GeneralisedGaussianInit
from slashbench.trainers.regimes.gradual_prune import GradualPrune
from slashbench.trainers.regimes.lsq import LSQ
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.regimes.qat import QuantizationAware
from slashbench.trainers.training import loop

PLAN = TrainingPlan(steps=20, learning_rate=1e-2, warmup=2)


def weight(*rows: list[float]) -> dict[str, nn.Parameter]:
    return {"w": nn.Parameter(torch.tensor(rows)), "b": nn.Parameter(torch.ones(3))}


class TestPlain:
    def test_longer_stretches_steps_and_warm_up(self) -> None:
        plan = Plain(longer=1.5).plan(PLAN)
        assert (plan.steps, plan.warmup) == (30, 3)
        assert Plain().plan(PLAN) == PLAN

    @pytest.mark.parametrize("longer", [0.0, -1.0, float("inf")])
    def test_bad_factor(self, longer: float) -> None:
        with pytest.raises(ValueError, match="finite number"):
            Plain(longer=longer)


class TestQuantizationAware:
    def test_the_forward_pass_sees_the_grid_and_the_optimiser_the_floats(self) -> None:
        named = weight([0.3, -0.2, 0.9])
        hook = QuantizationAware(step=0.25, begin=0.0).hook(named, PLAN)
        hook.before_forward()
        assert named["w"].tolist() == [[0.25, -0.25, 1.0]]
        assert named["b"].tolist() == [1.0, 1.0, 1.0]
        hook.before_step()
        assert named["w"].tolist() == [pytest.approx([0.3, -0.2, 0.9])]

    def test_rounding_begins_when_told(self) -> None:
        named = weight([0.3])
        hook = QuantizationAware(step=0.25, begin=0.1).hook(named, PLAN)
        seen = []
        for _ in range(3):
            hook.before_forward()
            seen.append(round(named["w"].item(), 3))
            hook.before_step()
            hook.after_step()
        assert seen == [0.3, 0.3, 0.25]

    def test_a_recipe_without_a_quantiser_rounds_to_the_same_grid(self) -> None:
        (recipe,) = recipes("qat:step=2^-3", {})
        assert recipe.text == "qat:step=2^-3+quantize:step=2^-3"
        first, second = recipes("backslash-q:step=2^-3/2^-5+prune", {})
        assert first.quantiser.text == "quantize:step=2^-3"
        assert second.quantiser.text == "quantize:step=2^-5"
        (chosen,) = recipes("qat:step=2^-3+quantize:step=2^-6", {})
        assert chosen.quantiser.text == "quantize:step=2^-6"


class TestCodeLength:
    def test_entropy_is_that_of_the_integers(self) -> None:
        draws = np.random.default_rng(0).laplace(scale=2.0, size=50_000).astype(np.float32)
        draws = np.concatenate([draws, -draws])  # signs alike
        _, counts = np.unique(np.rint(draws), return_counts=True)
        bits = code_length.entropy(code_length.count(torch.from_numpy(draws), torch.tensor(1.0)))
        assert bits / draws.size == pytest.approx(entropy(counts, base=2), rel=1e-9)

    def test_lengths_by_hand(self) -> None:
        counts = torch.zeros(code_length.LARGEST + 1, dtype=torch.float64)
        counts[:3] = torch.tensor([8.0, 4.0, 8.0])
        total = 20 + 0.5 * (2 * code_length.LARGEST + 1)
        bits = code_length.lengths(counts)
        assert bits[0].item() == pytest.approx(-np.log2(8.5 / total))
        assert bits[1].item() == pytest.approx(-np.log2(2.5 / total))
        assert bits[2].item() == bits[1].item()  # more frequent, but not shorter
        assert bits[3].item() == pytest.approx(-np.log2(0.5 / total))

    @pytest.mark.parametrize("x", [0.1, -0.6, 1.3, -2.7])
    def test_the_gradient_is_the_derivative_of_the_interpolated_length(self, x: float) -> None:
        generator = torch.Generator().manual_seed(0)
        others = torch.randn(999, generator=generator) * 0.9
        named = {"w": nn.Parameter(torch.cat([others, torch.tensor([x])]).view(1, -1))}
        named["w"].grad = torch.zeros(1, 1000)
        hook = BackSlashQ(lam=7.0, step=0.5, begin=0.0, warmup=0.0).hook(named, PLAN)
        hook.before_step()
        bits = code_length.lengths(
            code_length.count(named["w"].detach(), torch.tensor(0.5))
        ).numpy()

        def length(at: float) -> float:
            return float(np.interp(abs(at) / 0.5, np.arange(bits.size), bits))

        numeric = 7.0 / 1000 * (length(x + 1e-6) - length(x - 1e-6)) / 2e-6
        assert named["w"].grad[0, -1].item() == pytest.approx(numeric, rel=1e-4)

    def test_fewer_bits_for_a_larger_multiplier(self) -> None:
        bits = []
        for lam in (0.0, 1e-3, 1e-2):
            torch.manual_seed(0)
            module = nn.Linear(30, 30, bias=False)
            optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
            regime = BackSlashQ(lam=lam, step=2**-5, begin=0.0, warmup=0.0)
            hook = regime.hook(dict(module.named_parameters()), PLAN)
            for _ in range(21):
                hook.before_forward()
                module.weight.grad = torch.zeros_like(module.weight)
                hook.before_step()
                optimizer.step()
                hook.after_step()
            bits.append(hook.log()["bits"])
        assert bits[0] > bits[1] > bits[2]

    def test_weights_that_all_round_to_zero_are_an_error(self) -> None:
        hook = BackSlashQ(step=1.0, begin=0.0).hook(weight([0.1, 0.2]), PLAN)
        with pytest.raises(TrainingDiverged, match=r"round to zero.*finer step"):
            hook.before_step()


class TestLengthClasses:
    """Rows of large, of usual and of small weights, 20 of each, in a matrix of 60 x 50."""

    def rows(self) -> nn.Parameter:
        generator = torch.Generator().manual_seed(0)
        scales = torch.tensor([4.0, 1.0, 0.25]).repeat_interleave(20)
        return nn.Parameter(torch.randn(60, 50, generator=generator) * scales[:, None])

    def test_lines_of_like_scale_are_a_class(self) -> None:
        found = length_classes.classes_of(self.rows(), torch.tensor(0.5), 8)
        large, usual, small = found.float().view(3, -1).mean(1).tolist()
        assert large - usual == pytest.approx(3.4, abs=0.6)  # the highest holds all above it
        assert usual - small == pytest.approx(2.5, abs=0.6)
        assert found.T.float().mean(1).std() < 1  # columns are alike

    def test_classes_are_of_the_integers_on_a_grid_by_row(self) -> None:
        parameter = self.rows()
        steps = torch.tensor([4.0, 1.0, 0.25]).repeat_interleave(20)
        found = length_classes.classes_of(parameter, steps, 8).float()
        assert found.view(3, -1).mean(1).std() < 0.2

    def test_their_entropies_are_less_than_the_matrix_has(self) -> None:
        weights, step = self.rows(), torch.tensor(0.5)
        classes = length_classes.classes_of(weights, step, 8)
        counts = length_classes.count(weights.detach(), step, classes, 8)
        whole = code_length.count(weights.detach(), step)
        assert torch.equal(counts.sum(0), whole)
        assert sum(map(code_length.entropy, counts)) < 0.9 * code_length.entropy(whole)

    def test_a_small_integer_costs_more_among_smaller_ones(self) -> None:
        pulls = {}
        for classes in (1, 8):
            named = {"w": self.rows()}
            named["w"].grad = torch.zeros(60, 50)
            regime = BackSlashQ(lam=1.0, step=0.5, begin=0.0, warmup=0.0, classes=classes)
            regime.hook(named, PLAN).before_step()
            pulls[classes] = named["w"].grad.abs().view(3, -1).mean(1)
        assert pulls[8][2] > 1.5 * pulls[1][2]
        assert pulls[8][0] < 0.8 * pulls[1][0]

    def test_a_vector_is_one_class(self) -> None:
        found = length_classes.classes_of(nn.Parameter(torch.randn(9)), torch.tensor(1.0), 4)
        assert found.unique().tolist() == [2]

    def test_a_matrix_of_zeros_has_classes(self) -> None:
        found = length_classes.classes_of(nn.Parameter(torch.zeros(3, 4)), torch.tensor(1.0), 4)
        assert found.shape == (3, 4)


def test_rounding_grows_in() -> None:
    plan = TrainingPlan(steps=10, learning_rate=0.1, warmup=0)
    named = weight([0.2, 0.9])
    hook = BackSlashQ(lam=0.0, step=1.0, begin=0.2, anneal=0.4).hook(named, plan)
    seen = []
    for _ in range(plan.steps):
        hook.before_forward()
        seen.append(named["w"].detach().flatten().tolist())
        named["w"].grad = torch.zeros_like(named["w"])
        hook.before_step()
        hook.after_step()
    floats, grid = [0.2, 0.9], [0.0, 1.0]
    half = [0.1, 0.95]
    for at, expected in ((0, floats), (2, floats), (4, half), (6, grid), (9, grid)):
        assert seen[at] == pytest.approx(expected)
    assert named["w"].detach().flatten().tolist() == pytest.approx(floats)


class TestStepsByRow:
    def seen(self, *gradients: list[float]) -> RowSensitivity:
        parameter = nn.Parameter(torch.zeros(len(gradients), len(gradients[0])))
        parameter.grad = torch.tensor(gradients)
        sensitivity = RowSensitivity([parameter])
        sensitivity.observe()
        return sensitivity

    def test_a_row_that_is_four_times_as_sensitive_has_half_the_step_size(self) -> None:
        (steps,) = self.seen([200.0, 200.0], [100.0, 100.0]).step_sizes(0.1)
        floor = FLOOR * (40_000 + 10_000) / 2
        ratio = ((40_000 + floor) / (10_000 + floor)) ** 0.5
        assert (steps[1] / steps[0]).item() == pytest.approx(ratio, rel=1e-3)
        assert float(steps.log().mean().exp()) == pytest.approx(0.1, rel=1e-3)
        assert torch.equal(steps, steps.half().float())

    def test_without_gradients_step_sizes_are_alike(self) -> None:
        (steps,) = self.seen([0.0, 0.0], [0.0, 0.0]).step_sizes(0.25)
        assert steps.tolist() == [0.25, 0.25]

    def test_trained_weights_end_on_a_grid_that_ongrid_finds(self) -> None:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3))
        regime = BackSlashQ(lam=0.1, step=0.05, begin=0.4, granularity="channel")
        x = torch.randn(32, 12) * torch.linspace(0.1, 3, 12)

        def batches() -> Iterator[torch.Tensor]:
            while True:
                yield x

        def loss(network: nn.Module, batch: Any) -> torch.Tensor:
            found: torch.Tensor = (network(batch) - batch[:, :3]).square().mean()
            return found

        hook = regime.hook(dict(module.named_parameters()), PLAN)
        loop.train(module, batches(), loss, PLAN, hook)
        for layer in (module[0], module[2]):
            trained = layer.weight.detach().numpy()
            tensor = OnGrid().quantize("w", trained)
            assert tensor is not None
            assert tensor.dequantize().tobytes() == (trained + 0.0).tobytes()
            assert isinstance(tensor.grid, ChannelScales)
            assert len(np.unique(tensor.grid.scales)) > 1

    def test_the_implied_quantiser_is_ongrid(self) -> None:
        (recipe,) = recipes("backslash-q:granularity=channel", {})
        assert recipe.quantiser.text == "ongrid:step=2^-4"

    @pytest.mark.parametrize(
        "settings", [{"begin": 0.0}, {"scope": "all"}, {"target": "1.0bits"}], ids=str
    )
    def test_bad_settings(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="channel"):
            BackSlashQ(granularity="channel", **settings)


class TestOnGrid:
    def test_finds_steps_and_integers(self) -> None:
        integers = np.array([[2, -4, 6], [0, 0, 0], [5, 0, -3]], np.int32)
        steps = np.array([0.25, 1.0, 0.375], np.float16)
        tensor = OnGrid().quantize("w", integers * steps.astype(np.float32)[:, None])
        assert tensor is not None
        assert isinstance(tensor.grid, ChannelScales)
        assert tensor.grid.scales.tolist() == [0.5, 1.0, 0.375]  # the coarsest that fits
        assert tensor.values.tolist() == [[1, -2, 3], [0, 0, 0], [5, 0, -3]]

    def test_one_step_for_all_is_stored_once(self) -> None:
        tensor = OnGrid().quantize("w", np.array([[0.5, -1.0], [1.5, 0.5]], np.float32))
        assert tensor is not None
        assert tensor.grid == TensorScale(0.5)

    def test_weights_on_no_grid_are_refused(self) -> None:
        weight = np.array([[1.0, 0.1234567]], np.float32)
        with pytest.raises(Unencodable, match=r"channel 0 of w does not lie on a grid"):
            OnGrid().quantize("w", weight)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_weights_that_are_not_finite_are_refused(self, value: float) -> None:
        with pytest.raises(Unencodable, match="w holds weights that are not finite"):
            OnGrid(step=0.5).quantize("w", np.array([[1.0, value]], np.float32))

    def test_a_frozen_matrix_is_rounded_as_quantize_does(self) -> None:
        frozen = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
        frozen[2] = 0
        tensor = OnGrid(step=2**-4).quantize("w", frozen)
        assert tensor is not None
        assert tensor.grid == TensorScale(2**-4)
        assert np.array_equal(tensor.values, np.rint(frozen * 16))

    def test_a_matrix_that_lies_on_a_grid_in_part_is_refused(self) -> None:
        weight = np.array([[0.5, 1.0], [0.5, 0.1234567]], np.float32)
        with pytest.raises(Unencodable, match="channel 1 of w"):
            OnGrid(step=0.5).quantize("w", weight)

    def test_vectors_stay(self) -> None:
        assert OnGrid().quantize("b", np.ones(3, np.float32)) is None


class TestGradualPrune:
    def test_sparsity_rises_to_what_was_asked_and_stays(self) -> None:
        torch.manual_seed(0)
        named = {"w": nn.Parameter(torch.randn(20, 20)), "b": nn.Parameter(torch.ones(3))}
        hook = GradualPrune(sparsity=0.75, begin=0.2, end=0.7).hook(named, PLAN)
        zeros = []
        for _ in range(PLAN.steps):
            with torch.no_grad():
                named["w"] += 0.01  # what an optimiser does to pruned weights too
            hook.after_step()
            zeros.append(hook.log()["zeros"])
        assert zeros[3] == 0.0
        assert zeros == sorted(zeros)
        assert zeros[13] == zeros[-1] == 0.75
        assert zeros[6] > 0.75 / 3  # the cubic schedule prunes most of it early
        assert named["b"].tolist() == [1.0, 1.0, 1.0]

    def test_the_smallest_go(self) -> None:
        named = weight([0.1, -5.0, 2.0, -0.3])
        hook = GradualPrune(sparsity=0.5, begin=0.0, end=0.05).hook(named, PLAN)
        for _ in range(3):
            hook.after_step()
        assert named["w"].tolist() == [[0.0, -5.0, 2.0, 0.0]]

    @pytest.mark.parametrize(("begin", "end"), [(0.9, 0.95), (0.0, 0.01), (0.97, 1.0)])
    def test_a_rise_too_short_for_the_run_is_a_step(self, begin: float, end: float) -> None:
        named = weight([0.1, -5.0, 2.0, -0.3])
        hook = GradualPrune(sparsity=0.5, begin=begin, end=end).hook(named, PLAN)
        for _ in range(PLAN.steps):
            hook.after_step()
        assert named["w"].tolist() == [[0.0, -5.0, 2.0, 0.0]]

    def test_of_equal_weights_exactly_so_many_go(self) -> None:
        named = weight([1.0, -1.0, 1.0, -1.0])
        hook = GradualPrune(sparsity=0.5, begin=0.0, end=0.05).hook(named, PLAN)
        for _ in range(3):
            hook.after_step()
        assert named["w"].tolist() == [[0.0, 0.0, 1.0, -1.0]]


class TestGeneralisedGaussianInit:
    @pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
    def test_draws_have_the_shape_asked_for_and_the_old_deviation(self, shape: float) -> None:
        torch.manual_seed(0)
        module = nn.Linear(300, 300)
        before = float(module.weight.detach().square().mean())
        bias = module.bias.detach().clone()
        GeneralisedGaussianInit(shape=shape).initialise(module)
        drawn = module.weight.detach().numpy().ravel().astype(np.float64)
        assert np.mean(drawn**2) == pytest.approx(before, rel=0.05)
        scale = ggd.scale_from_moments(before, shape)
        assert kstest(drawn, "gennorm", args=(shape, 0.0, scale)).pvalue > 1e-3
        assert torch.equal(module.bias, bias)


@pytest.mark.parametrize(
    ("regime", "settings"),
    [
        (QuantizationAware, {"step": 0.0}),
        (QuantizationAware, {"begin": 1.0}),
        (BackSlashQ, {"lam": -1.0}),
        (BackSlashQ, {"step": float("inf")}),
        (GradualPrune, {"sparsity": 1.0}),
        (GradualPrune, {"begin": 0.5, "end": 0.5}),
        (GeneralisedGaussianInit, {"shape": 0.0}),
    ],
)
def test_bad_settings(regime: Any, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|share|shape"):
        regime(**settings)


ROUNDING = [name for name in REGIMES.names() if REGIMES.get(name)().first_rounded(PLAN) is not None]


@pytest.mark.parametrize("name", ROUNDING)
def test_the_last_step_sees_rounded_weights_however_late_rounding_begins(name: str) -> None:
    assert REGIMES.get(name)(begin=0.999).first_rounded(PLAN) == PLAN.steps - 1


def test_steps_of_rows_can_be_learned_in_the_last_step_alone() -> None:
    named = weight([0.3, -0.2, 0.9])
    hook = LSQ(bits=3, begin=0.999).hook(named, PLAN)
    for _ in range(PLAN.steps):
        hook.before_forward()
        named["w"].grad = torch.ones(1, 3)
        hook.before_step()
        hook.after_step()
    hook.finish()
    assert OnGrid().quantize("w", named["w"].detach().numpy()) is not None


@pytest.mark.parametrize("regime", [QuantizationAware, BackSlashQ, GradualPrune])
def test_a_model_without_matrices_is_an_error(regime: Any) -> None:
    with pytest.raises(UsageError, match="no trainable parameters in scope 'matrices'"):
        regime().hook({"b": nn.Parameter(torch.ones(3))}, PLAN)
