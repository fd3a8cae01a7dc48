"""Bisection for a size or a loss, on real training runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from slashbench.bench.cli import main
from slashbench.bench.pipeline import tune
from slashbench.errors import UsageError

MODEL = "digits-mlp:steps=150"
ASKED = ["tune", "--model", MODEL, "--recipe", "backslash-q:step=2^-3"]


def run(arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([*ASKED, *arguments, "--out", str(out)])
    return int(ended.value.code or 0), capsys.readouterr().out


@pytest.mark.thorough
def test_a_size_is_met_by_the_weakest_multiplier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--bits", "1.2", "--between", "0.001..10", "--runs", "4"]
    code, text = run(wanted, tmp_path, capsys)
    assert code == 0
    lines = [line for line in text.splitlines() if line.startswith("lam=")]
    values = {float(line[4:].split(":")[0]): float(line.split()[1]) for line in lines}
    assert len(values) == 4
    assert [values[v] for v in sorted(values)] == sorted(values.values(), reverse=True)
    chosen = min(value for value, bits in values.items() if bits <= 1.2)
    assert f"best: backslash-q:lam={chosen:g}:step=2^-3:" in text
    again, same = run(wanted, tmp_path, capsys)  # nothing is trained twice
    assert again == 0
    assert "train" not in same
    assert same.splitlines()[-1] == text.splitlines()[-1]


@pytest.mark.thorough
def test_a_loss_is_kept_by_the_strongest_multiplier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(["--loss", "3", "--between", "0.01..1e9", "--runs", "5"], tmp_path, capsys)
    assert code == 0
    meets = [line for line in text.splitlines() if line.endswith("meets the goal")]
    fails = [line for line in text.splitlines() if line.startswith("lam=") and line not in meets]
    assert meets
    assert fails
    strongest = max(float(line[4:].split(":")[0]) for line in meets)
    assert strongest < min(float(line[4:].split(":")[0]) for line in fails)
    assert f"lam={strongest:g}" in text.splitlines()[-1]


def test_a_goal_out_of_reach_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(["--bits", "0.01", "--between", "0.01..0.02", "--runs", "1"], tmp_path, capsys)
    assert code == 1
    assert "No trial met the goal" in text


@pytest.mark.parametrize("goal", [{}, {"bits": 1.0, "loss": 1.0}])
def test_one_goal(goal: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="one goal"):
        tune.Goal(**goal)


@pytest.mark.parametrize("between", ["1", "5..1", "0..1", "a..b"])
def test_bad_ranges_are_wrong_use(between: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*ASKED, "--bits", "1", "--between", between, "--out", str(tmp_path)])
    assert ended.value.code == 2


def test_the_setting_of_any_link_is_varied() -> None:
    recipe = "plain:longer=2+qat:begin=0.5+gptq-loss:lam=0.1"

    def made(setting: str) -> str:
        question = tune.Question(MODEL, recipe, setting, 0.1, 1.0, "rans")
        return question.cell(0.3).recipe.text

    assert made("gptq-loss.step").endswith("+gptq-loss:step=0.3:lam=0.1")
    assert "+qat:step=0.3:begin=0.5+" in made("qat.step")
    assert made("peak").startswith("plain:longer=2:peak=0.3+")
    with pytest.raises(UsageError, match="no link 'rdoq' to vary"):
        made("rdoq.step")
