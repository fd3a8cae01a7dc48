"""The command `bench`: put the parser together, run one verb, turn errors into exit codes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from slashbench.bench.commands import (
    check_submission,
    compare,
    completion,
    compress,
    conformance,
    decompress,
    diff,
    doctor,
    fetch,
    history,
    inspect,
    limit,
    listing,
    merge,
    publish,
    report,
    reproduce,
    run,
    run_options,
    scan,
    speed,
    tune,
    verify,
    worker,
)
from slashbench.bench.commands.parsing import Parser
from slashbench.bench.commands.streams import be_lenient, give_up, spelled
from slashbench.errors import SlashbenchError
from slashbench.version import __version__

EXAMPLES = """\
examples
  bench run --models all --codecs all            the main job: everything that can run here
  bench run --suite smoke                        a small matrix, in a minute
  bench run --models kjv-gpt --recipes plain,backslash:lam=10..1000+quantize:step=2^-8 \\
            --codecs exp-golomb:k=0..4,huffman --seeds 0..2
  bench list codecs                              entries, and the pip command for missing ones
  bench report --html BOARD.html                 boards from the existing records, as a page
  bench compare plain backslash:lam=20           compare two recipes
  bench test-codec my_codec:Bytes                check one codec against the codec contract
  bench speed --codecs huffman,zipnn             speeds, side by side
  bench scan model.safetensors                   every codec on your own checkpoint
  bench tune --model kjv-gpt --recipe backslash-q:step=2^-4 --loss 0.01   find the multiplier
  bench compress model.safetensors -o small.safetensors
  bench diff model.safetensors small.safetensors which tensors differ, and by how much

  bench run --codecs rans,numcodecs.blosc:cname=zstd   any numcodecs codec, by its id
"""

#: The verbs, in the order and under the headings of `bench --help`.
GROUPS = {
    "measure": (run, reproduce, tune, limit, worker),
    "look at results": (report, compare, history),
    "share results": (merge, publish, check_submission),
    "use the codecs on weights of your own": (
        compress, decompress, inspect, verify, diff, scan,
    ),
    "compare and test codecs": (speed, conformance),
    "what is here": (listing, fetch, doctor, completion),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    be_lenient(sys.stdout, sys.stderr)
    made = parser()
    completion.answer(made)
    options = made.parse_args(arguments)
    try:
        code = int(options.verb(options))
        sys.stdout.flush()
    except SlashbenchError as error:
        code = _failed(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _failed("interrupted", run_options.INTERRUPTED)
    except BrokenPipeError:
        give_up(sys.stdout)  # the reader of our output has gone: nothing more to say
        code = 0
    except OSError as error:
        give_up(sys.stdout)
        code = _failed(
            f"{error.strerror or error}{f': {error.filename}' * bool(error.filename)}", 1
        )
    sys.exit(code)


def _failed(why: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"bench: {spelled(why)}", file=sys.stderr)
    return code


def parser() -> Parser:
    """Return the parser of the command, with a sub-parser for each verb."""
    made = Parser(
        prog="bench",
        description="How many bits does a trained weight really need, at what accuracy, "
        "and how fast can they be written and read?",
        epilog=EXAMPLES + run_options.SELECTORS,
    )
    made.add_argument("--version", action="version", version=f"slashbench {__version__}")
    verbs = made.add_subparsers(required=True, metavar="VERB")
    for title, group in GROUPS.items():
        for verb in group:
            known = len(verbs.choices)
            verb.add(verbs)
            if verb is group[0]:
                made.headings[list(verbs.choices)[known]] = title
    return made


if __name__ == "__main__":
    main()
