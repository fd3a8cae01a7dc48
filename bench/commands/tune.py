"""Verbs about training regimes: tune; and what `bench speed --trainers` does."""

from __future__ import annotations

import argparse
from typing import Any

from slashbench.bench.commands.console import console
from slashbench.errors import UsageError

TUNING = """\
examples
  bench tune --model kjv-gpt --recipe backslash-q:step=2^-4 --loss 0.01
  bench tune --model digits-mlp --recipe backslash:update=gradient+quantize:step=2^-6 --bits 2

Bisection on a logarithmic scale, each trial a training run that is kept in the results folder: the
same command again goes on where it was. For a size, the weakest setting that reaches it is best;
for a loss, the strongest that keeps it. The metric is that of validation data.

exit codes: 0 found, 1 no trial met the goal, 2 wrong use, 130 interrupted
"""


def add(verbs: Any, out: argparse.ArgumentParser) -> None:
    """Add the verb `tune`. out: the parent that brings --out."""
    tune = verbs.add_parser(
        "tune",
        parents=[out],
        help="the setting of a recipe that just meets a size or a loss of the metric",
        epilog=TUNING,
    )
    tune.add_argument("--model", required=True, metavar="NAME")
    tune.add_argument("--recipe", required=True, metavar="RECIPE", help="without the setting")
    tune.add_argument(
        "--vary", default="lam", metavar="KEY", help="of its first link (default: %(default)s)"
    )
    tune.add_argument("--between", default="0.1..1000", metavar="LOW..HIGH")
    tune.add_argument("--bits", type=float, help="at most so many bits per parameter in the file")
    tune.add_argument(
        "--loss",
        type=float,
        help="at most so much lost of the plain float model's metric: points, or a share where "
        "lower is better",
    )
    tune.add_argument("--codec", default="rans", metavar="NAME", help="(default: %(default)s)")
    tune.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    tune.add_argument(
        "--runs", type=int, default=6, metavar="N", help="training runs (default: %(default)s)"
    )
    tune.set_defaults(verb=_tune)


def _tune(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import progress
    from slashbench.bench.engines.inline import Here
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
        stages = Stages(store, "missing", Here(display))
        for trial in tune.search(stages, question, goal, options.runs):
            trials.append(trial)
            verdict = trial.reason or ("meets the goal" if trial.meets else "does not")
            out.print(
                f"{options.vary}={trial.value:g}: {trial.bits:.3f} bits per parameter, "
                f"{trial.metric:.4g} on validation data, {trial.loss:+.3g} lost: {verdict}",
                highlight=False,
                soft_wrap=True,
            )
    found = tune.best(trials, goal)
    if found is None:
        out.print("No trial met the goal; try another --between, or more --runs", style="red")
        return 1
    out.print(f"best: {found.recipe}", highlight=False, markup=False, soft_wrap=True)
    return 0


def cost(options: argparse.Namespace) -> int:
    """`bench speed --trainers`: what regimes add to a training step."""
    from slashbench.bench.commands import bar
    from slashbench.bench.machine import timing
    from slashbench.bench.machine.atomic_files import write_atomically
    from slashbench.bench.models.catalog import MODELS
    from slashbench.bench.report.output import terminal
    from slashbench.bench.report.output.markdown import trainer_speeds_to_markdown
    from slashbench.bench.speed import trainer_speed
    from slashbench.bench.speed import trainer_tables as board
    from slashbench.entries import entries
    from slashbench.record import TrainerSpeeds, encode_speeds
    from slashbench.trainers.catalog import REGIMES

    out = console()
    left_out: dict[str, str] = {}
    regimes = list(entries(REGIMES, options.trainers or trainer_speed.USUAL, left_out))
    (model,) = entries(MODELS, options.model, left_out)
    with bar.Bar(out) as shown:
        speeds = trainer_speed.run(model, regimes, options.rounds, shown.show)
    terminal.print_table(board.table(speeds), out)
    out.print(board.LEGEND, style="dim")
    found = TrainerSpeeds(speeds=speeds, provenance=timing.provenance(model.item.threads))
    if options.json is not None:
        write_atomically(options.json, encode_speeds(found))
    if options.md is not None:
        write_atomically(options.md, trainer_speeds_to_markdown(found).encode())
    return 0
