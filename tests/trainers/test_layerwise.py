"""Methods that treat a model layer by layer, against their definitions."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from slashbench.contracts import Calibration, Quantiser, Transform, Weights
from slashbench.errors import Unencodable, UsageError
from slashbench.trainers.numerics import obs
from slashbench.trainers.numerics.fisher import row_sensitivities
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.quantisers.gptq import GPTQ, Factor, solve
from slashbench.trainers.quantisers.gptq_loss import GPTQLoss, scale
from slashbench.trainers.transforms.prune import LayerPrune, MagnitudePrune
from slashbench.trainers.transforms.snap import Snap
from slashbench.trainers.transforms.sparsegpt import SparseGPT
from slashbench.trainers.transforms.wanda import Wanda
from tests.helpers.tiny_models import Deep, Masked, NoLinear, Tied, Tiny


def state(model: Tiny) -> Weights:
    return {name: w.clone() for name, w in model.build(3).state_dict().items()}


def arrays(weights: Weights) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {name: w.numpy() for name, w in weights.items() if w.is_floating_point()}


@pytest.fixture
def correlated() -> tuple[torch.Tensor, torch.Tensor]:
    """(weights (40, 200), second moment (200, 200)) of inputs that lie near a subspace."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(20, 200, generator=generator)
    inputs = torch.randn(500, 20, generator=generator) @ mixing
    inputs += 0.3 * torch.randn(500, 200, generator=generator)
    weight = torch.randn(40, 200, generator=generator)
    return weight, (inputs.T @ inputs).double() / 500


class Normed(Tiny):
    """One more layer, whose weight is made of a direction and magnitudes in each forward pass."""

    def build(self, seed: int) -> nn.Module:
        module = super().build(seed)
        made = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        return nn.Sequential(*cast("nn.Sequential", module), made)


def output_error(change: torch.Tensor, moment: torch.Tensor) -> float:
    return float(((change.double() @ moment) * change).sum())


class TestLayers:
    def test_moments_are_of_inputs_after_the_layers_before_are_changed(self) -> None:
        weights, calibration = state(Tiny()), Calibration(Tiny(), 0)
        layers = LinearLayers(weights, calibration, batches=3)
        assert layers.names == ["0.weight", "3.weight"]
        x = torch.cat(calibration.batches(3))
        moments = layers.moments()
        name, moment = next(moments)
        assert name == "0.weight"
        assert torch.allclose(moment, (x.T @ x).double() / len(x), atol=1e-5)
        layers.put("0.weight", torch.zeros(12, 8))
        _, moment = next(moments)
        hidden = weights["0.bias"].relu() / (1 + 1e-5) ** 0.5  # batch norm as initialised
        assert torch.allclose(moment, torch.outer(hidden, hidden).double(), atol=1e-5)

    def test_a_tied_head_comes_first_and_a_layer_that_never_runs_not_at_all(self) -> None:
        layers = LinearLayers(state(Tied()), Calibration(Tied(), 0), batches=2)
        assert layers.names == ["embedding.weight", "middle.weight"]
        assert layers.tables == {"embedding.weight"}

    @pytest.mark.parametrize("step", [Wanda(), SparseGPT()])
    def test_a_model_without_linear_layers_is_an_error(self, step: Transform) -> None:
        with pytest.raises(UsageError, match=r"no nn\.Linear layer runs"):
            step.apply(state(NoLinear()), Calibration(NoLinear(), 0))

    def test_a_weight_that_is_made_of_others_or_kept_is_left_out(self) -> None:
        model = Normed()
        weights, calibration = state(model), Calibration(model, 0)
        calibration.others = {"3.weight": weights.pop("3.weight")}  # as if it were not finite
        layers = LinearLayers(weights, calibration, batches=2)
        assert layers.names == ["0.weight"]
        assert [name for name, _ in layers.moments()] == ["0.weight"]

    def test_another_models_checkpoint_is_an_error(self) -> None:
        with pytest.raises(UsageError, match="not of this model"):
            Calibration(Tiny(), 0).module({"other.weight": torch.ones(2, 2)})

    @pytest.mark.parametrize("quantiser", [GPTQ(), GPTQLoss()])
    def test_bare_weights_are_not_enough(self, quantiser: Quantiser) -> None:
        with pytest.raises(UsageError, match="needs a model and its calibration data"):
            quantiser.quantize("w", np.ones((2, 2), np.float32))


class TestOptimalBrainSurgeon:
    def test_the_factor_inverts_the_damped_moment(self) -> None:
        moment = torch.tensor([[4.0, 2.0], [2.0, 3.0]])
        upper = obs.inverse_factor(moment, damp=0.1)
        damped = moment.double() + 0.35 * torch.eye(2)
        assert torch.allclose(upper.T @ upper @ damped, torch.eye(2, dtype=torch.float64))
        assert upper[1, 0] == 0

    def test_a_singular_moment_needs_damping(self) -> None:
        moment = torch.ones(3, 3)
        with pytest.raises(UsageError, match="raise damp"):
            obs.inverse_factor(moment, damp=0.0)
        assert torch.isfinite(obs.inverse_factor(moment, damp=0.01)).all()
        assert torch.isfinite(obs.inverse_factor(torch.zeros(3, 3), damp=0.01)).all()

    def test_what_is_right_of_a_column_is_the_least_squares_answer(
        self, correlated: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """Zero column 0 alone: the others must be what a solver of the normal equations says."""
        weight, moment = correlated
        factor = obs.inverse_factor(moment, damp=0.01)
        swept = obs.sweep(
            weight, factor, lambda _, block: lambda j, column: column * 0 if j == 0 else column
        )
        damped = torch.linalg.inv(factor.T @ factor)
        answer = torch.linalg.solve(damped[1:, 1:], damped[1:, :1] * weight[:, 0].double()).T
        assert torch.allclose(swept[:, 1:], weight[:, 1:].double() + answer, atol=1e-6)


class TestPruning:
    def test_each_matrix_loses_the_same_share(self) -> None:
        weights = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[-30.0, 40.0]])}
        pruned = LayerPrune(sparsity=0.5).apply(weights, Calibration(Tiny(), 0))
        assert pruned["a"].tolist() == [[0.0, 2.0]]
        assert pruned["b"].tolist() == [[0.0, 40.0]]

    def test_wanda_by_hand(self) -> None:
        """Scores |w| |x| with input norms 1, 2, 3, 10: [4, 6, 6, 10] and [1, 8, 3, 0]."""
        moment = torch.diag(torch.tensor([1.0, 4.0, 9.0, 100.0], dtype=torch.float64))
        weight = torch.tensor([[4.0, -3.0, 2.0, 1.0], [1.0, 4.0, 1.0, 0.0]])
        pruned = Wanda(sparsity=0.5).pruned(weight, moment)
        assert pruned.tolist() == [[0, 0, 2, 1], [0, 4, 1, 0]]

    def test_sparsegpt_leaves_less_output_error_than_magnitude_and_wanda(
        self, correlated: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        weight, moment = correlated
        pruned = SparseGPT(sparsity=0.5).pruned(weight, moment)
        by_size = LayerPrune(sparsity=0.5).pruned({"w": weight})["w"]
        by_wanda = Wanda(sparsity=0.5).pruned(weight, moment)
        assert float((pruned == 0).float().mean()) == pytest.approx(0.5, abs=0.001)
        error = output_error(pruned - weight, moment)
        assert error < 0.2 * output_error(by_wanda - weight, moment)
        assert error < 0.2 * output_error(by_size - weight, moment)

    @pytest.mark.parametrize("step", [Wanda(0.25), SparseGPT(0.25)])
    def test_linear_layers_but_no_tables(self, step: Transform) -> None:
        weights = state(Tied())
        pruned = step.apply(weights, Calibration(Tied(), 0))
        assert pruned["embedding.weight"] is weights["embedding.weight"]
        assert pruned["head.weight"] is weights["head.weight"]
        assert pruned["never.weight"] is weights["never.weight"]
        assert int((pruned["middle.weight"] == 0).sum()) == (6 if type(step) is Wanda else 9)

    @pytest.mark.parametrize("step", [MagnitudePrune(), LayerPrune(), Wanda(), SparseGPT()])
    def test_a_mask_of_infinities_stays_as_it_is(self, step: Transform) -> None:
        weights = state(Masked())
        pruned = step.apply(weights, Calibration(Masked(), 0))
        assert pruned["mask"] is weights["mask"]
        assert pruned["table"] is weights["table"]
        assert int((pruned["linear.weight"] == 0).sum()) == 32


class TestSnap:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_narrow_weights_are_moved_as_wide_ones(self, dtype: torch.dtype) -> None:
        class Narrow(Tiny):
            widened = True

            def build(self, seed: int) -> nn.Module:
                return super().build(seed).to(dtype)

        narrow = state(Narrow())
        wide = {name: w.float() if w.is_floating_point() else w for name, w in narrow.items()}
        found = Snap(step=0.1).apply(narrow, Calibration(Narrow(), 0))
        wanted = Snap(step=0.1).apply(wide, Calibration(Tiny(), 0))
        for name in narrow:
            assert torch.equal(found[name], wanted[name].to(narrow[name].dtype)), name
        assert not torch.equal(found["0.weight"], narrow["0.weight"])

    def test_what_lies_beyond_the_largest_float16_becomes_it(self) -> None:
        weights = {name: w.half() for name, w in state(Tiny()).items() if name != "3.weight"}
        weights["3.weight"] = torch.full((4, 12), 65504.0, dtype=torch.float16)
        found = Snap(step=50_000.0).apply(weights, Calibration(Tiny(), 0))
        assert found["3.weight"].unique().tolist() == [0.0, 65504.0]


class TestGPTQ:
    @pytest.mark.parametrize("order", ["activity", "given"])
    def test_less_output_error_than_plain_rounding(
        self, correlated: tuple[torch.Tensor, torch.Tensor], order: str
    ) -> None:
        weight, moment = correlated
        quantized = GPTQ(step=0.5, order=order).layer("w", weight.numpy(), moment)  # type: ignore[arg-type]
        error = output_error(torch.from_numpy(quantized.dequantize()) - weight, moment)
        plain = output_error((weight / 0.5).round() * 0.5 - weight, moment)
        assert error < 0.3 * plain

    def test_uncorrelated_inputs_leave_plain_rounding(self) -> None:
        weight = torch.randn(5, 6)
        quantized = GPTQ(step=0.25).layer("w", weight.numpy(), torch.eye(6).double())
        assert quantized.values.tolist() == (weight / 0.25).round().tolist()

    def test_a_price_on_bits_lowers_error_plus_price(
        self, correlated: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        weight, moment = correlated
        factor = Factor(moment, 0.01, "activity")
        alike = torch.ones(len(weight))
        free = solve(weight, factor, 0.0, alike)
        priced = solve(weight, factor, 0.2, alike)
        assert entropy(priced) < 0.9 * entropy(free)
        assert output_error(priced - weight, moment) < output_error(weight.round() - weight, moment)

    def test_the_seed_of_the_data_fixes_every_bit(self) -> None:
        def run(seed: int) -> dict[str, list[int]]:
            done = GPTQ(step=0.125).quantize_all(arrays(state(Tiny())), Calibration(Tiny(), seed))
            return {name: q.values.tolist() for name, q in done.items() if q is not None}

        assert run(0) == run(0)
        assert run(0) != run(1)

    @pytest.mark.parametrize("quantiser", [GPTQ(step=0.125), GPTQLoss(step=0.125)])
    @pytest.mark.parametrize("model", [Tiny(), Tied()], ids=["tiny", "tied"])
    def test_all_matrices_and_only_they(self, quantiser: Quantiser, model: Tiny) -> None:
        weights = arrays(state(model))
        weights.pop("head.weight", None)  # a tied name comes once
        done = quantiser.quantize_all(weights, Calibration(model, 0))
        assert list(done) == list(weights)
        for name, quantized in done.items():
            assert (quantized is not None) == (weights[name].ndim >= 2)
            if quantized is not None:
                assert quantized.values.shape == weights[name].shape
                assert quantized.values.dtype == np.int32

    def test_tables_without_a_head_are_rounded_plainly(self) -> None:
        """The head of `Tied` sees the table; `never` never runs."""
        weights = arrays(state(Tied()))
        del weights["head.weight"]
        done = GPTQ(step=0.125).quantize_all(weights, Calibration(Tied(), 0))
        never = done["never.weight"]
        assert never is not None
        assert never.values.tolist() == np.rint(weights["never.weight"] / 0.125).tolist()

    @pytest.mark.parametrize("quantiser", [GPTQ(step=100.0), GPTQLoss(step=100.0)])
    def test_a_huge_step_leaves_zeros(self, quantiser: Quantiser) -> None:
        done = quantiser.quantize_all(arrays(state(Tiny())), Calibration(Tiny(), 0))
        assert not any(q.values.any() for q in done.values() if q is not None)

    @pytest.mark.parametrize("quantiser", [GPTQ(step=1e-12), GPTQLoss(step=1e-12)])
    def test_a_step_too_fine_for_int32_is_refused(self, quantiser: Quantiser) -> None:
        with pytest.raises(Unencodable, match="too fine"):
            quantiser.quantize_all(arrays(state(Tiny())), Calibration(Tiny(), 0))

    @pytest.mark.parametrize("quantiser", [GPTQ(), GPTQLoss()])
    def test_weights_that_are_not_finite_are_refused(self, quantiser: Quantiser) -> None:
        weights = arrays(state(Tiny()))
        weights["3.bias"][0] = np.inf
        with pytest.raises(Unencodable, match="not finite"):
            quantiser.quantize_all(weights, Calibration(Tiny(), 0))

    def test_one_weight(self) -> None:
        quantized = GPTQ(step=0.5).layer("w", np.array([[1.3]], np.float32), torch.ones(1, 1))
        assert quantized.values.tolist() == [[3]]

    def test_rows_and_inputs_of_zeros(self) -> None:
        moment = torch.diag(torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64))
        weight = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
        for lam in (0.0, 0.1):
            done = GPTQ(step=0.5, lam=lam).layer("w", weight, moment)
            assert done.values[0].tolist() == [0, 0, 0]
            assert done.values[1, [0, 2]].tolist() == [2, 2]


class TestSensitivity:
    def test_rows_are_felt_as_their_squared_gradients(self) -> None:
        calibration = Calibration(Tiny(), 0)
        module, batches = calibration.module(state(Tiny())), calibration.batches(2)
        felt = row_sensitivities(module, batches, calibration, floor=0.0)
        squares = torch.zeros(4, dtype=torch.float64)
        for batch in batches:
            loss = module(batch).square().mean()
            (gradient,) = torch.autograd.grad(loss, module.get_parameter("3.weight"))
            squares += gradient.square().mean(1)
        assert torch.allclose(felt["3.weight"], squares)

    def test_what_no_batch_reaches_is_worth_the_floor(self) -> None:
        calibration = Calibration(Tied(), 0)
        module, batches = calibration.module(state(Tied())), calibration.batches(2)
        felt = row_sensitivities(module, batches, calibration, floor=0.5)
        bare = row_sensitivities(module, batches, calibration, floor=1e-9)
        assert float(felt["never.weight"][0]) == pytest.approx(
            0.5e9 * float(bare["never.weight"][0])
        )
        assert (felt["middle.weight"] > felt["never.weight"]).all()

    def test_without_any_gradient_all_rows_count_alike(self) -> None:
        calibration = Calibration(Tiny(), 0)
        module = calibration.module({n: w * 0 for n, w in state(Tiny()).items()})
        felt = row_sensitivities(module, calibration.batches(1), calibration, floor=0.1)
        assert all((rows == 1).all() for rows in felt.values())

    @pytest.mark.parametrize("columns", [29, 30])
    def test_a_row_has_its_own_step_where_that_saves_more_than_it_takes(self, columns: int) -> None:
        """Geometric and arithmetic mean of 1 and 16 are 4 and 8.5: 0.5437 bits a weight saved."""
        felt = torch.tensor([1.0, 16.0], dtype=torch.float64)
        _, importance, steps = scale(torch.ones(2, columns), felt, unit=0.5)
        if columns * 0.5437 > 16:
            assert steps.tolist() == [0.5, 0.125]
            assert importance.tolist() == [1, 1]
        else:
            assert steps.tolist() == pytest.approx([0.5 / 8.5**0.5])
            assert importance.tolist() == pytest.approx([2 / 17, 32 / 17])


def entropy(integers: torch.Tensor) -> float:
    _, counts = integers.unique(return_counts=True)
    share = counts / counts.sum()
    return float(-(share * share.log2()).sum())


class TestBlocks:
    """What finished blocks put out is remembered; nothing else changes."""

    @staticmethod
    def moments(remember: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[list[torch.Tensor], int]:
        model = Deep()
        weights = model.build(0).state_dict()
        layers = LinearLayers(weights, Calibration(model, 0), 2)
        runs: list[None] = []
        for name, linear in layers.module.named_modules():
            if name.endswith(".0"):  # the first of a block's two
                linear.register_forward_hook(lambda *_: runs.append(None))
        if not remember:
            monkeypatch.setattr(layers._blocks, "finish", lambda left: None)
        found = []
        for name, moment in layers.moments():
            found.append(moment)
            layers.put(name, weights[name].round(decimals=1))
        return found, len(runs)

    def test_moments_are_the_same_for_fewer_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fast, few = self.moments(True, monkeypatch)
        slow, many = self.moments(False, monkeypatch)
        assert few < many
        assert len(fast) == 6 and all(map(torch.equal, fast, slow))

    def test_the_model_is_as_before_when_all_is_done(self) -> None:
        model = Deep()
        weights = model.build(0).state_dict()
        layers = LinearLayers(weights, Calibration(model, 0), 2)
        assert len(list(layers.moments())) == 6
        x = next(model.calibration(1))
        assert torch.equal(layers.module(x), model.build(0)(x))
