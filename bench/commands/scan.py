"""The verb `scan`: try every codec on the user's own checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import positive

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

SCANNING = """\
examples
  bench scan model.safetensors                   lossless, a board for each dtype
  bench scan model.gguf                          also .bin, .pt, .onnx
  bench scan model.safetensors --quantize quantize:step=0.25:unit=std
  bench scan folder/ --codecs huffman,rans,rans-classes,zstd:level=3/19 --sample 100

Rows from the middle of each tensor are a sample of the file. The round trip of every codec is
checked bit for bit; a codec that fails is left out and named. Dots mark the Pareto-optimal codecs
(size, decode speed). Of a folder, the files that `bench compress` would compress are read.

exit codes: 0 done, 1 a codec failed, 2 usage error, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    scan = verbs.add_parser(
        "scan",
        help="compare codecs on a checkpoint: size and speed",
        epilog=SCANNING,
    )
    scan.add_argument(
        "path",
        type=Path,
        help="a file of weights (.safetensors, .bin, .pt, .gguf, .onnx), or a folder of them",
    )
    scan.add_argument(
        "--quantize",
        metavar="NAME",
        help="quantize the weights first (default: lossless), see `bench list trainers`",
    )
    scan.add_argument("--codecs", metavar="LIST", default="all", help="codecs (default: all)")
    scan.add_argument(
        "--sample",
        type=positive,
        default=16,
        metavar="MB",
        help="size of the sample in megabytes (default: %(default)s)",
    )
    scan.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds (default: 3)")
    scan.set_defaults(verb=_scan)


def _scan(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import Bar, console
    from slashbench.bench.report.output import terminal
    from slashbench.bench.speed import codec_speed, own_checkpoint
    from slashbench.bench.speed import speed_tables as board
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    shown = console()
    codecs, left_out = codec_speed.contestants(options.codecs)
    quantiser = None
    if options.quantize is not None:
        quantiser = only(QUANTISERS, options.quantize).item
    weights = own_checkpoint.read(options.path, round(options.sample * 1e6))
    if quantiser is not None:
        weights = own_checkpoint.to_quantize(weights)
    for what, why in {**left_out, **weights.left_out}.items():
        shown.print(f"left out: {what}: {why}", style="yellow")
    shown.print(
        f"{weights.sampled_bytes / 1e6:.1f} of {weights.n_bytes / 1e6:.1f} MB: rows of "
        f"{len(weights.tensors)} tensors",
    )
    samples = own_checkpoint.samples(weights, quantiser, options.quantize or "")
    failed: dict[str, str] = {}
    with Bar(shown) as bar:
        for speeds in codec_speed.run(samples, codecs, options.repeats, (1,), bar.show, failed):
            terminal.print_table(board.ranking(speeds), shown)
    shown.print(board.RANKING_LEGEND, style="dim")
    for what, why in failed.items():
        shown.print(f"failed: {what}: {why}", style="red")
    return 1 if failed else 0
