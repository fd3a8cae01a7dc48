"""The verb `tune`: the setting of a recipe that meets a size or a loss."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import finite, out_option, positive
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

TUNING = """\
examples
  bench tune --model kjv-gpt --recipe backslash-q:step=2^-4 --loss 0.01
  bench tune --model digits-mlp --recipe backslash:update=gradient+quantize:step=2^-6 --bits 2
  bench tune --model kjv-gpt --recipe plain+gptq-loss:lam=0.1 --vary gptq-loss.step --loss 0.01

Bisection on a logarithmic scale. Each trial is a training run that the results folder keeps: the
same command resumes a search that was stopped. With --bits, the best setting is the weakest that
reaches the size; with --loss, the strongest that stays within the loss. The metric is measured on
validation data.

exit codes: 0 found, 1 no trial met the goal, 2 usage error, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    tune = verbs.add_parser(
        "tune",
        parents=[out_option()],
        help="search the setting of a recipe that meets a size or a loss of the metric",
        epilog=TUNING,
    )
    tune.add_argument("--model", required=True, metavar="NAME", help="see `bench list models`")
    tune.add_argument(
        "--recipe", required=True, metavar="RECIPE", help="recipe without the setting"
    )
    tune.add_argument(
        "--vary",
        default="lam",
        metavar="KEY",
        help="setting of the first link, or of another one: gptq-loss.step (default: %(default)s)",
    )
    tune.add_argument(
        "--between",
        default="0.1..1000",
        metavar="LOW..HIGH",
        help="range to search (default: %(default)s)",
    )
    tune.add_argument(
        "--bits", type=positive, help="largest size of the file, in bits per parameter"
    )
    tune.add_argument(
        "--loss",
        type=finite,
        help="largest loss against the plain float model, in the metric's unit",
    )
    tune.add_argument(
        "--codec", default="rans", metavar="NAME", help="codec (default: %(default)s)"
    )
    tune.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed (default: %(default)s)"
    )
    tune.add_argument(
        "--runs",
        type=int,
        default=6,
        metavar="N",
        help="largest number of training runs (default: %(default)s)",
    )
    tune.set_defaults(verb=_tune)


def _tune(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import progress
    from slashbench.bench.commands.console import console
    from slashbench.bench.engines.inline import InlineProgress
    from slashbench.bench.pipeline import tune
    from slashbench.bench.pipeline.stages import Stages
    from slashbench.bench.store.store import Store

    out = console()
    goal = tune.Goal(options.bits, options.loss)
    low, _, high = options.between.partition("..")
    try:
        ends = float(low), float(high)
    except ValueError:
        raise UsageError(f"--between {options.between!r} is not of the form 0.1..100") from None
    question = tune.Question(
        options.model, options.recipe, options.vary, *ends, options.codec, options.seed
    )
    store = Store(options.out)
    display = progress.Display(out)
    trials = []
    store.sweep()
    with display.over([question.cell(ends[0])] * options.runs):
        stages = Stages(store, "missing", InlineProgress(display))
        for trial in tune.search(stages, question, goal, options.runs):
            trials.append(trial)
            verdict = trial.reason or ("meets the goal" if trial.meets else "does not")
            out.print(
                f"{options.vary}={trial.value:g}: {trial.bits:.3f} bits per parameter, "
                f"{trial.metric:.4g} on validation data, {trial.loss:+.3g} lost: {verdict}",
                soft_wrap=True,
            )
    found = tune.best(trials, goal)
    if found is None:
        out.print("No trial met the goal. Try another --between or more --runs.", style="red")
        return 1
    out.print(f"best: {found.recipe}", soft_wrap=True)
    return 0
