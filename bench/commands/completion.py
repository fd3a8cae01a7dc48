"""The verb `completion`, and what a shell asks when somebody presses Tab."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Parser, Verbs

EXAMPLES = """\
examples
  eval "$(bench completion bash)"                            in ~/.bashrc
  eval "$(bench completion zsh)"                             in ~/.zshrc, after compinit
  bench completion fish | source                             in ~/.config/fish/config.fish

Completes verbs, options, files, and the names of codecs, models, suites and links of recipes, those
of plug-ins among them, in lists and chains too.
"""

ASKED = "_ARGCOMPLETE"  # set by the shell


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    completion = verbs.add_parser(
        "completion", help="print what makes a shell complete this command", epilog=EXAMPLES
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(verb=_completion)


def _completion(options: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["bench"], shell=options.shell))
    return 0


def answer(parser: Parser) -> None:
    """Answer the shell and end the process, if it is a shell that asks; else do nothing."""
    if ASKED not in os.environ:
        return
    import argcomplete

    for verb in _parsers(parser):
        for action in verb._actions:
            for option in action.option_strings:
                if option in _COMPLETED:
                    setattr(action, "completer", _completer(_COMPLETED[option]))  # noqa: B010
    argcomplete.autocomplete(parser)


def matches(prefix: str, names: Callable[[str], list[str]]) -> list[str]:
    """Return the names that go on from the last item of a list, or the last link of a chain.

    Examples
    --------
    >>> matches("huffman,ra", lambda chain: ["huffman", "rans", "range"])
    ['huffman,rans', 'huffman,range']
    """
    before, word = re.fullmatch(r"(.*[,+])?(.*)", prefix, re.DOTALL).groups()  # type: ignore[union-attr]
    before = before or ""
    chain = before.rpartition(",")[2]
    return [before + name for name in names(chain) if name.startswith(word)]


def _codecs(chain: str) -> list[str]:
    from slashbench.codecs.catalog import CODECS

    return ["all", *CODECS.names()]


def _models(chain: str) -> list[str]:
    from slashbench.bench.models.catalog import MODELS

    return ["all", *MODELS.names()]


def _links(chain: str) -> list[str]:
    """Return what may begin a recipe, or what may follow a chain that has begun."""
    from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

    if not chain:
        return REGIMES.names()
    return [*TRANSFORMS.names(), *QUANTISERS.names(), *REGIMES.names()]


def _quantisers(chain: str) -> list[str]:
    from slashbench.trainers.catalog import QUANTISERS

    return QUANTISERS.names()


def _suites(chain: str) -> list[str]:
    from slashbench.bench.plan import suite_files

    return suite_files.suites()


def _boards(chain: str) -> list[str]:
    from slashbench.bench.report.boards.catalog import BOARDS

    return ["all", *BOARDS]


_COMPLETED: Mapping[str, Callable[[str], list[str]]] = {
    "--boards": _boards,
    "--codec": _codecs,
    "--codecs": _codecs,
    "--model": _models,
    "--models": _models,
    "--quantize": _quantisers,
    "--recipe": _links,
    "--recipes": _links,
    "--suite": _suites,
}


def _completer(names: Callable[[str], list[str]]) -> Callable[..., list[str]]:
    return lambda prefix, **_: matches(prefix, names)


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield verb
                yield from _parsers(verb)
