"""The command `bench`: parses and prints, decides nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slashbench import __version__
from slashbench.bench.commands import (
    checkpoints,
    report,
    reproduce,
    run,
    run_options,
    tune,
)
from slashbench.bench.commands.console import console as _console
from slashbench.errors import SlashbenchError

EXAMPLES = """\
examples
  bench run --models all --codecs all            the main job: everything that can run here
  bench run --suite smoke                        the same in a minute
  bench run --models kjv-gpt --recipes plain,backslash:lam=10..1000+quantize:step=2^-8 \\
            --codecs exp-golomb:k=0..4,huffman --seeds 0..2
  bench list codecs                              what there is, and what pip brings the rest
  bench report --html BOARD.html                 boards from the records there are, as a page
  bench compare plain backslash:lam=20           what one recipe changes against another
  bench test-codec my_codec:Bytes                what every codec must do, checked on one
  bench speed --codecs huffman,zipnn             how fast they are, side by side
  bench scan model.safetensors                   every codec over a checkpoint of yours
  bench tune --model kjv-gpt --recipe backslash-q:step=2^-4 --loss 0.01   a multiplier that keeps it
  bench compress model.safetensors -o small.safetensors

  bench run --codecs rans,numcodecs.blosc:cname=zstd   any numcodecs codec, by its id
"""

TESTING = """\
examples
  bench test-codec huffman                       a registered codec
  bench test-codec exp-golomb:k=0..4,zstd        several, with settings
  bench test-codec my_codec:Bytes                the class Bytes in my_codec.py, not registered yet
  bench test-codec numcodecs:Zlib:level=9        any numcodecs codec

Each check passes, fails with the smallest input that shows why and the Python that makes it, or is
skipped with a reason. The same checks from pytest:

  import pytest
  from slashbench.bench.conformance import CHECKS

  @pytest.mark.parametrize("check", CHECKS, ids=str)
  def test_my_codec(check):
      check(MyCodec)

exit codes: 0 no check failed, 1 some failed, 2 wrong use
"""


TIMING = """\
examples
  bench speed                                    a codec of each kind, on one and all threads
  bench speed --codecs huffman,zipnn --data 4bits --against zipnn --threads 1
  bench speed --codecs all --data bf16,fp16 --json speed.json
  bench speed --codecs my-codec,huffman          yours, once it is registered
  bench speed --trainers                         what regimes add to a training step
  bench speed --trainers backslash:every=1/4,qat --model kjv-gpt

The data are the 37 matrices of all-MiniLM-L6-v2: quantised to an entropy, or as floats. Every codec
is checked to give them back, then all take turns, so that noise of the machine hits all alike.
Histogram, tables, headers, checksums and allocation count. Each board is printed (and written) when
it is ready: Ctrl-C keeps those there are.

exit codes: 0 done, 1 a codec failed, 2 wrong use, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        code = int(options.verb(options))
    except SlashbenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        code = run_options.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing more to say
        code = 0
    sys.exit(code)


def _list(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import listing

    if options.json:
        print(listing.as_json(options.kind))
    else:
        listing.show(options.kind, _console())
    return 0


def _test_codec(options: argparse.Namespace) -> int:
    from slashbench.bench.conformance import runner

    sys.path.insert(0, str(Path.cwd()))  # where an author's module is, as for `python -m`
    console = _console()
    trials = []
    for trial in runner.trials(options.codecs):
        trials.append(trial)
        if not options.json:
            runner.show(trial, console)
    if options.json:
        print(runner.as_json(trials))
    return 0 if all(trial.passed for trial in trials) else 1


def _speed(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.bar import Bar
    from slashbench.bench.machine import timing
    from slashbench.bench.machine.atomic_files import write_atomically
    from slashbench.bench.report.output import terminal
    from slashbench.bench.report.output.markdown import speeds_to_markdown
    from slashbench.bench.speed import codec_speed, samples
    from slashbench.bench.speed import speed_tables as board
    from slashbench.record import Speed, Speeds, encode_speeds

    if options.trainers is not None:
        return tune.cost(options)
    console = _console()
    threads = codec_speed.numbers_of_threads(options.threads)
    codecs, left_out = codec_speed.contestants(options.codecs)
    sets = samples.samples(samples.names(options.data))
    for what, why in left_out.items():
        console.print(f"left out: {what}: {why}", style="yellow", highlight=False, markup=False)
    measured: list[Speed] = []
    against = options.against.split(",")
    with Bar(console) as bar:
        for speeds in codec_speed.run(sets, codecs, options.repeats, threads, bar.show):
            single = [s for s in measured if s.data == speeds[0].data and s.threads == 1]
            measured += speeds
            terminal.print_table(board.table(speeds, against, single), console)
            found = Speeds(speeds=measured, against=against, provenance=timing.provenance(None))
            if options.json is not None:
                write_atomically(options.json, encode_speeds(found))
            if options.md is not None:
                write_atomically(options.md, speeds_to_markdown(found).encode())
    console.print(board.LEGEND, style="dim")
    return 0


class _Parser(argparse.ArgumentParser):
    """Shows examples as they are written; those of the verbs are of its class too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bench",
        description="How many bits does a trained weight really need, at what accuracy, "
        "and how fast can they be written and read?",
        epilog=EXAMPLES + run_options.SELECTORS,
    )
    parser.add_argument("--version", action="version", version=f"slashbench {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument(
        "--out",
        default="results/local",
        metavar="DIR",
        help="results folder, or a URL such as s3://bucket/results that fsspec opens: records, "
        "artifacts and boards (default: %(default)s)",
    )

    run.add(verbs, out)

    listing = verbs.add_parser("list", help="what there is, what is missing and what brings it")
    listing.add_argument("kind", choices=["codecs", "trainers", "models", "datasets", "suites"])
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(verb=_list)

    test = verbs.add_parser(
        "test-codec",
        help="check that a codec, yours or ours, does what every codec must",
        epilog=TESTING,
    )
    test.add_argument(
        "codecs", metavar="LIST", help="NAME[:settings], module:Class[:settings], all"
    )
    test.add_argument("--json", action="store_true", help="for programs")
    test.set_defaults(verb=_test_codec)

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
        help="entropies, such as 4bits or 0.5bits, and bf16, fp16, fp32 (default: %(default)s)",
    )
    speed.add_argument("--repeats", type=int, default=9, metavar="N", help="rounds (default: 9)")
    speed.add_argument(
        "--threads",
        default="1,all",
        metavar="LIST",
        help="numbers of threads, each measured apart (default: %(default)s)",
    )
    speed.add_argument(
        "--against",
        default="zipnn,openzl-fse,zstd:level=1,memcpy",
        metavar="LIST",
        help="codecs whose speed is the measure of all others (default: %(default)s)",
    )
    speed.add_argument(
        "--trainers",
        metavar="LIST",
        nargs="?",
        const="",
        help="time training regimes in place of codecs: what each adds to a training step",
    )
    speed.add_argument(
        "--model", default="minilm-kjv", metavar="NAME", help="to train (default: %(default)s)"
    )
    speed.add_argument(
        "--rounds",
        type=int,
        default=24,
        metavar="N",
        help="training steps, the second half counts (default: %(default)s)",
    )
    speed.add_argument("--json", type=Path, metavar="FILE", help="write every round's time as well")
    speed.add_argument("--md", type=Path, metavar="FILE", help="write the boards as Markdown")
    speed.set_defaults(verb=_speed)

    checkpoints.add(verbs)

    tune.add(verbs, out)

    reproduce.add(verbs, out)

    report.add(verbs, out)
    return parser


if __name__ == "__main__":
    main()
