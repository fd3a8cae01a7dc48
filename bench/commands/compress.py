"""The verb `compress`: a checkpoint of the user's own, made smaller."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slashbench.bench.commands import checkpoint_options
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from slashbench.bench.checkpoint.base import Base
    from slashbench.bench.commands.console import Bar
    from slashbench.bench.commands.parsing import Verbs
    from slashbench.contracts import Quantiser
    from slashbench.link import Link

EXAMPLES = """\
examples
  bench compress model.safetensors -o small.safetensors      lossless, and quick to load
  bench compress model/ -o small/                            a folder, shards and all
  bench compress pytorch_model.bin -o small.safetensors      also .pt, .gguf, .onnx
  bench compress model.safetensors -o small.safetensors --codec float-rans
  bench compress model.safetensors -o small.safetensors --quantize quantize:step=0.25:unit=std
  bench compress model.safetensors -o small.safetensors --target 4bits
  bench compress new.safetensors --base old.safetensors -o delta.safetensors
  bench compress model.safetensors --dry-run                 how small it would be
  cat model.safetensors | bench compress - -o - | ssh host 'cat > small.safetensors'

In Python, slashbench.load_file("small.safetensors") does for a compressed file what
safetensors.torch.load_file does for a plain one. Nothing is overwritten without --force. Ctrl-C and
SIGTERM leave what was there. New files have at most the permissions of the originals.

Checkpoints of torch.save (.bin, .pt, .pth, .ckpt; nothing in them is run), GGUF and the weights of
ONNX become safetensors files of the same tensors, under the names that Hugging Face gives them.

Of a folder, links are followed and other files are copied; hidden files, links that lead nowhere,
weights in formats that are not read, and those whose tensors stand in a safetensors file as well
are left out and listed. With --quantize, tensors that hold NaN or
infinity stay as they are and are listed.

What stands in two files of a folder is stored once, without --quantize: the second file names the
first one, and both must stay together.

With --base, only what differs from OLD is kept, without loss; `bench decompress --base OLD` needs
the same OLD, which the file names by hash. OLD must be no delta itself. A tensor's counterpart has
its type, its shape and its name, or the same end of a name (encoder.layer.0 and layer.0); what has
none is coded alone.

exit codes: 0 done, 1 failed, 2 usage error, 130 interrupted
"""

_TARGET = re.compile(r"(\d+(?:\.\d+)?)\s*bits?")


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser("compress", help="compress a checkpoint", epilog=EXAMPLES)
    verb.add_argument(
        "path", type=Path, help="a file of weights, a folder of them, or - (standard input)"
    )
    verb.add_argument(
        "--codec",
        metavar="NAME",
        help="codec for the tensors that it takes, see `bench list codecs` (default: float-rans "
        "for floats, huffman for integers, rans-classes for quantized tensors)",
    )
    verb.add_argument(
        "--quantize",
        metavar="NAME",
        help="quantize the weights first (lossy), such as quantize:step=0.25:unit=std; takes at "
        "most twice the memory of the largest tensor and 200 MB (rdoq: 17 times a tensor of 32 "
        "bits, 34 times one of 16)",
    )
    verb.add_argument(
        "--target",
        metavar="BITS",
        help="search the step size at which the file takes at most so many bits a parameter, "
        "such as 4bits (quantizes by quantize:unit=std unless --quantize names another)",
    )
    checkpoint_options.add_base(verb, "keep only what differs from OLD")
    checkpoint_options.add_out(verb, "how small it would be")
    verb.set_defaults(verb=_compress)


def _compress(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import convert, target_size
    from slashbench.bench.checkpoint.encoder import Coding
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar, console
    from slashbench.bench.formats import opening
    from slashbench.codecs.catalog import CODECS, DELTAS
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    shown = console(stderr=True)
    out = checkpoint_options.out_of(options)
    base = checkpoint_options.base_of(options)
    if base is not None and (options.quantize or options.target):
        raise UsageError("a delta is lossless: leave out --quantize and --target, or --base")
    known = DELTAS if base is not None and options.codec in DELTAS.names() else CODECS
    codec = only(known, options.codec) if options.codec else None
    quantiser = only(QUANTISERS, options.quantize) if options.quantize else None
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if options.target:
            quantiser = _of_size(options.target, paths.weights(path), codec, quantiser, bar)
            shown.print(f"quantized by {quantiser.text}")
        how = Coding.of(codec, quantiser) if base is None else Coding.of_delta(codec, base)
        before = after = count = 0
        shared: dict[Path, Base] = {}
        if path.is_dir() and base is None and quantiser is None:
            shared = paths.shared(path)

        def work(file: Path, into: Any) -> None:
            nonlocal before, after, count
            source = opening.source_of(file)
            for name, why in source.left_out.items():
                shown.print(f"{file.name}: left out: {name}: {why}", style="yellow")
            progress = checkpoint_options.share(bar, file, source.header.nbytes)
            on = shared.get(file)
            coding = how if on is None else Coding.of_delta(codec, on)
            kept = convert.compress(into, source, coding, progress)
            for name, why in kept.items():
                shown.print(f"{file.name}: {name} stays as it is: {why}", style="yellow")
            before, after = before + file.stat().st_size, after + into.seek(0, 2)
            count += target_size.parameters(source)

        if out is None:
            for file in paths.weights(path):
                work(file, target_size.Measure())
        else:
            paths.convert(path, out, work, piped=options.path == paths.PIPE)
        checkpoint_options.show_left_out(path, shown)
    bits = f", {8 * after / count:.3f} bits a parameter" if count else ""
    sizes = f"{checkpoint_options.megabytes(after)} of {checkpoint_options.megabytes(before)} MB"
    shown.print(
        f"{'would be ' if out is None else ''}{sizes}, {100 * after / max(1, before):.1f} %{bits}"
    )
    return 0


def _of_size(
    target: str,
    files: list[Path],
    codec: Link[Any] | None,
    quantiser: Link[Quantiser] | None,
    bar: Bar,
) -> Link[Quantiser]:
    """Return the quantiser that reaches the target."""
    from slashbench.bench.checkpoint import sources, target_size
    from slashbench.bench.formats import opening
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    wanted = _TARGET.fullmatch(target)
    if not wanted:
        raise UsageError(f"--target {target!r} is not of the form 4bits or 2.5bits")
    trials = 0

    def tried(spelled: str, bits: float) -> None:
        nonlocal trials
        trials += 1
        bar.show(f"{spelled}: {bits:.3f} bits a parameter", trials / 10)

    return target_size.search(
        sources.Files(files, opening.source_of),
        codec,
        quantiser or only(QUANTISERS, "quantize:step=0.25:unit=std"),
        float(wanted[1]),
        tried,
    )
