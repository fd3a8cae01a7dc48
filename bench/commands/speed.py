"""The verb `speed`: codecs, or training regimes, timed side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

TIMING = """\
examples
  bench speed                                    one codec of each kind, on one and on all threads
  bench speed --codecs huffman,zipnn --data 4bits --against zipnn --threads 1
  bench speed --codecs all --data bf16,fp16 --json speed.json
  bench speed --codecs my-codec,huffman          yours, once it is registered
  bench speed --data delta:all --against zipnn   checkpoints, given others
  bench speed --files model.safetensors --repeats 3     whole files, by us and by other tools
  bench speed --trainers                         the cost of regimes per training step
  bench speed --trainers backslash:every=1/4,qat --model kjv-gpt

The data are the 37 matrices of all-MiniLM-L6-v2, quantized to an entropy or as floats; or, with
delta:NAME, a checkpoint of a training made here, given another: codecs with a base race with a few
that have none. The training takes minutes, once (results/local/deltas). The round
trip of every codec is checked first. Then the codecs take turns, so that noise of the machine hits
all alike. Histogram, tables, headers, checksums and allocation count. Each board is printed and
written when it is ready; Ctrl-C keeps the finished ones. A codec that fails is left out and named.

exit codes: 0 done, 1 a codec failed, 2 usage error, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    speed = verbs.add_parser(
        "speed",
        help="time codecs side by side on real weights, as ratios to their peers",
        epilog=TIMING,
    )
    speed.add_argument("--codecs", metavar="LIST", help="codecs (default: one of each kind)")
    speed.add_argument(
        "--data",
        metavar="LIST",
        default="2bits,3bits,4bits,6bits,bf16",
        help="entropies, such as 4bits or 0.5bits; bf16, fp16, fp32; delta:all, or delta:NAME, "
        "such as delta:steps1-bf16 (default: %(default)s)",
    )
    speed.add_argument("--repeats", type=int, default=9, metavar="N", help="rounds (default: 9)")
    speed.add_argument(
        "--threads",
        default="1,all",
        metavar="LIST",
        help="numbers of threads, measured one after the other (default: %(default)s)",
    )
    speed.add_argument(
        "--against",
        default="zipnn,openzl-fse,zstd:level=1,memcpy",
        metavar="LIST",
        help="codecs that all speeds are compared with (default: %(default)s)",
    )
    speed.add_argument(
        "--trainers",
        metavar="LIST",
        nargs="?",
        const="",
        help="time training regimes instead of codecs: the cost per training step",
    )
    speed.add_argument(
        "--model",
        default="minilm-kjv",
        metavar="NAME",
        help="model to train (default: %(default)s)",
    )
    speed.add_argument(
        "--rounds",
        type=int,
        default=24,
        metavar="N",
        help="training steps; the first half is warm-up (default: %(default)s)",
    )
    speed.add_argument(
        "--files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="time tools for whole safetensors files instead: size, save, restore, memory",
    )
    speed.add_argument(
        "--tools", metavar="LIST", help="with --files: tools to compare (default: all there are)"
    )
    speed.add_argument("--json", type=Path, metavar="FILE", help="write the time of every round")
    speed.add_argument("--md", type=Path, metavar="FILE", help="write the boards as Markdown")
    speed.set_defaults(verb=_speed)


def _speed(options: argparse.Namespace) -> int:
    if options.files:
        return _files(options)
    return _codecs(options) if options.trainers is None else _trainers(options)


def _codecs(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import Bar, console
    from slashbench.bench.report.output import terminal
    from slashbench.bench.speed import (
        codec_speed,
        delta_samples,
        recording,
        samples,
        speed_tables,
    )

    out = console()
    threads = codec_speed.numbers_of_threads(options.threads)
    wanted = samples.names(options.data)
    deltas = any(name.startswith(delta_samples.PREFIX) for name in wanted)
    codecs, left_out = codec_speed.contestants(options.codecs, deltas=deltas)
    for what, why in left_out.items():
        out.print(f"left out: {what}: {why}", style="yellow")
    against = options.against.split(",")
    failed: dict[str, str] = {}
    with Bar(out) as bar:
        sets = samples.samples(wanted, progress=bar.show)
        races = codec_speed.run(sets, codecs, options.repeats, threads, bar.show, failed)
        for table in recording.record_codecs(races, against, options.json, options.md):
            terminal.print_table(table, out)
    out.print(speed_tables.LEGEND, style="dim")
    for what, why in failed.items():
        out.print(f"failed: {what}: {why}", style="red")
    return 1 if failed else 0


def _files(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import Bar, console
    from slashbench.bench.report.output import terminal
    from slashbench.bench.speed import file_speed, recording

    out = console()
    names, left_out = file_speed.contestants(options.tools)
    for name, why in left_out.items():
        out.print(f"left out: {name}: {why}", style="yellow")
    failed: dict[str, str] = {}
    with Bar(out) as bar:
        races = file_speed.run(options.files, names, options.repeats, bar.show, failed)
        for table in recording.record_files(races, options.json, options.md):
            terminal.print_table(table, out)
    out.print(file_speed.LEGEND, style="dim")
    for name, why in failed.items():
        out.print(f"failed: {name}: {why}", style="red")
    return 1 if failed else 0


def _trainers(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import Bar, console
    from slashbench.bench.models.catalog import MODELS
    from slashbench.bench.report.output import terminal
    from slashbench.bench.speed import recording, trainer_speed, trainer_tables
    from slashbench.link import entries, only
    from slashbench.trainers.catalog import REGIMES

    out = console()
    left_out: dict[str, str] = {}
    regimes = list(entries(REGIMES, options.trainers or trainer_speed.DEFAULT_REGIMES, left_out))
    model = only(MODELS, options.model)
    with Bar(out) as bar:
        speeds = trainer_speed.run(model, regimes, options.rounds, bar.show)
    recording.record_trainers(speeds, model.item.threads, options.json, options.md)
    terminal.print_table(trainer_tables.table(speeds), out)
    out.print(trainer_tables.LEGEND, style="dim")
    return 0
