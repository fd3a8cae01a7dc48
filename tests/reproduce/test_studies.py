"""Studies over records with known numbers: what holds, what does not, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slashbench.bench.reproduce import report
from slashbench.bench.reproduce.backslash.studies import BACKSLASH
from slashbench.bench.reproduce.claims import Claim, Verdict
from slashbench.bench.store.store import Store
from tests.helpers.paper_lab import CODECS, Lab, Result

LAMBDAS = (2, 20, 200)
NOISE = (0.0, 0.01, -0.01)  # of the three seeds


def judged(store: Store) -> dict[str, Claim]:
    return {claim.text: claim for claim in report.findings(BACKSLASH, store).claims}


def recipe(lam: float) -> str:
    return f"backslash:lam={lam:g}:update=gradient" if lam else "plain"


def bits(length: float, best_order: int = 0) -> Callable[[str], float]:
    """FL takes 10 bits, EG of the best order `length`, of the others more, Huffman 5 % less."""

    def of(codec: str) -> float:
        if codec == "pack":
            return 10.0
        if codec.startswith("exp-golomb"):
            return length + 0.5 * abs(int(codec[-1]) - best_order)
        return 0.95 * length

    return of


def sweep(lab: Lab, lengths: list[float], losses: list[float], seeds: int = 3) -> None:
    """Plain and three lambdas at 2^-8."""
    for seed in range(seeds):
        for lam, length, loss in zip((0, *LAMBDAS), lengths, losses, strict=True):
            lab.run(
                f"{recipe(lam)}+quantize:step=2^-8",
                seed,
                Result(
                    bits(length + NOISE[seed], 0 if lam > 2 else 3),
                    93.0 - loss + NOISE[seed],
                    train_accuracy=99.5 - loss / 100,
                    shapes=(1.4, 1.0 - lam / 400),
                    zeros=0.1 + lam / 400,
                ),
            )


FALLS = "Code length falls as λ grows, by exp-Golomb and by Huffman."
SAVES = "Exp-Golomb saves 60 to 90 % of a fixed-length code without loss of accuracy."
SMALL = "A small λ costs no accuracy."
ORDER = "k = 0 is the best order of exp-Golomb for BackSlash models."
TRAIN = "Accuracy on training data does not suffer at any λ."
FITS = "A generalised Gaussian fits trained weights better than a Gaussian."
ENDS = "The larger λ, the smaller the shape that training ends with."


def test_records_as_the_paper_has_them(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    sweep(lab, [7.3, 5.8, 3.0, 2.6], [0.0, -0.3, 0.1, 0.7])
    found = judged(lab.store)
    for text in (FALLS, SAVES, SMALL, TRAIN, ENDS):
        assert found[text].verdict is Verdict.HOLDS, (text, found[text].because)
    assert found[ORDER].verdict is Verdict.PARTLY  # not at the smallest λ
    assert found[ORDER].because == "2 met, 1 missed"


def test_records_that_contradict_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    sweep(lab, [3.0, 3.5, 6.0, 7.0], [0.0, 2.0, 3.0, 9.0])
    found = judged(lab.store)
    for text in (FALLS, SMALL):
        assert found[text].verdict is Verdict.NOT_HERE, (text, found[text].because)
    assert found[SAVES].checks[0].what.endswith("plain, the largest that keeps the metric")


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    sweep(lab, [7.3, 5.8, 3.0, 2.6], [0.0, -0.3, 0.1, 0.7], seeds=1)
    found = judged(lab.store)
    assert found[FALLS].verdict is Verdict.UNTESTABLE
    assert found[FALLS].because == "6 one seed"


def test_what_has_no_records_was_not_run(tmp_path: Path) -> None:
    for claim in report.findings(BACKSLASH, Store(tmp_path)).claims:
        assert claim.verdict is (Verdict.UNTESTABLE if claim.impossible else Verdict.NOT_RUN)


@pytest.mark.parametrize(
    "recipes",
    [
        ["plain+prune:sparsity=0.5+quantize:step=2^-8"],
        ["plain+quantize:step=2^-4"],
        ["norm:p=1:lam=20:eps=1+quantize:step=2^-8"],
        [f"{recipe(20)}+quantize:step=2^-8", "norm:p=1:lam=20:eps=1+quantize:step=2^-8"],
        [f"{recipe(lam)}+prune:sparsity=0.5+quantize:step=2^-8" for lam in (0, 20)],
    ],
)
def test_an_incomplete_run_has_a_report(tmp_path: Path, recipes: list[str]) -> None:
    lab = Lab(tmp_path)
    for each in recipes:
        lab.run(each, 0, Result(bits(5.0), 93.0, shapes=(1.0, 1.0)))
    found = report.findings(BACKSLASH, lab.store)
    assert len(found.evidence.all) == len(recipes) * len(CODECS)
    assert "| digits-mlp" in report.to_markdown(BACKSLASH, report.sections(found))


def test_a_training_of_one_step_falls_nowhere(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for lam in (0, *LAMBDAS):
        lab.run(f"{recipe(lam)}+quantize:step=2^-8", 0, Result(bits(5.0), 93.0, steps=1))
    sooner = judged(lab.store)["The larger λ, the more steeply the cost falls: sooner to its end."]
    assert sooner.verdict is Verdict.NOT_RUN


def test_a_report_goes_where_its_records_are() -> None:
    store = Store("memory://reproduced")
    written = report.write(report.findings(BACKSLASH, store), store)
    assert "memory://reproduced/report.md" in written
    assert store.files.read("report.html")


@pytest.mark.parametrize("backslash_bears", [0.9, 0.5])
def test_pruning_is_judged_by_the_last_rate_that_does_no_harm(
    tmp_path: Path, backslash_bears: float
) -> None:
    lab = Lab(tmp_path)
    for seed in range(3):
        for lam, bears in ((0, 0.5), (20, backslash_bears)):
            for rate in (0, *(i / 10 for i in range(1, 10))):
                harmed = rate > bears + 0.01
                prune = f"+prune:sparsity={rate:g}" if rate else ""
                # one that recovers after the first harm does not count
                lost = 0.0 if not harmed or rate == 0.9 else 5.0
                result = Result(bits(5.0), 93.0 - lost, float_accuracy=93.0)
                lab.run(f"{recipe(lam)}{prune}+quantize:step=2^-8", seed, result, ["rans"])
    found = judged(lab.store)
    later = found["BackSlash models bear more pruning than plain ones."]
    holds = backslash_bears == 0.9
    assert later.verdict is (Verdict.HOLDS if holds else Verdict.NOT_HERE)
    assert found["Plain models fail below 60 %."].verdict is Verdict.HOLDS
    estimate = later.checks[0].estimate
    assert estimate is not None
    assert estimate.mean == pytest.approx(backslash_bears - 0.5)


def test_rounding_falls_off_one_cliff_or_two(tmp_path: Path) -> None:
    same = "BackSlash neither helps nor hurts quantization: both fall off the same cliff."
    for folder, exponent in (("one", 5), ("two", 7)):
        lab = Lab(tmp_path / folder)
        for seed in range(3):
            for lam, last_good in ((0, 5), (20, exponent)):
                for n in (12, 8, 7, 6, 5, 4, 3):
                    lost = 60.0 if n < last_good else 0.0
                    result = Result(bits(5.0), 93.0 - lost, float_accuracy=93.0)
                    lab.run(f"{recipe(lam)}+quantize:step=2^-{n}", seed, result, ["rans"])
        found = judged(lab.store)
        assert found[same].verdict is (Verdict.HOLDS if folder == "one" else Verdict.NOT_HERE)
        flat = found["From 2^-8 on, finer steps change nothing, plain or BackSlash."]
        assert flat.verdict is Verdict.HOLDS


def test_the_order_of_norms(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lengths = {
        "backslash:lam=20:update=gradient": 1.4,
        "norm:p=0.5:lam=20:eps=1": 2.9,
        "norm:p=1:lam=20:eps=1": 1.5,
        "norm:p=2:lam=20:eps=1": 1.2,
    }
    for seed in range(3):
        lab.run("plain+quantize:step=2^-8", seed, Result(bits(7.0), 93.0))
        for regime, length in lengths.items():
            loss = 5 - length
            lab.run(f"{regime}+quantize:step=2^-8", seed, Result(bits(length), 93.0 - loss))
    found = judged(lab.store)
    order = "By size, L2 < DGGR < L1 < L0.5; ε = 1, as the authors' code has it."
    assert found[order].verdict is Verdict.HOLDS
    better = found["The adaptive shape is smaller than L1 and more accurate; ε = 1."]
    assert better.because == "1 met, 1 missed"


def test_a_heavy_tailed_network_is_no_gaussian(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    draws = {
        "laplace": (generator.laplace, Verdict.HOLDS),
        "normal": (generator.normal, Verdict.NOT_HERE),
    }
    for name, (draw, verdict) in draws.items():
        lab = Lab(tmp_path / name)
        for seed in range(3):
            weights = draw(0.0, 0.05, (200, 300)).astype(np.float32)
            result = Result(bits(7.0), 93.0, weights=weights)
            lab.run("plain+quantize:step=2^-8", seed, result, ["rans"])
        claim = judged(lab.store)[FITS]
        gain = next(check for check in claim.checks if "likelihood" in check.what)
        assert (gain.outcome.value == "met") == (verdict is Verdict.HOLDS)
        if verdict is Verdict.HOLDS:
            assert claim.verdict is verdict


def test_every_figure_and_table_of_the_paper_has_a_study(tmp_path: Path) -> None:
    names = [
        section.name for section in report.sections(report.findings(BACKSLASH, Store(tmp_path)))
    ]
    wanted = [f"figure-{n}" for n in range(1, 9)] + [f"table-{n}" for n in range(3, 7)]
    assert sorted(names[2:-2]) == sorted(wanted)
    assert len(BACKSLASH.studies) == len(wanted)
