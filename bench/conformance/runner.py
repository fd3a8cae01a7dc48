"""`bench test-codec`: which codecs are meant, and what the checks said of each."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slashbench import selector
from slashbench.bench.conformance import checks
from slashbench.bench.conformance.checks import CheckOutcome
from slashbench.bench.conformance.subject import Factory, Subject
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.errors import UsageError
from slashbench.link import links


@dataclass(frozen=True)
class CodecReport:
    """One configured codec and what came of its checks."""

    codec: str
    outcomes: list[CheckOutcome]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(outcome.status != "fail" for outcome in self.outcomes)


def trials(text: str) -> Iterator[CodecReport]:
    """Test every codec of a list such as `huffman,my_codec:Mine:level=3` or `all`.

    Raises UsageError (and its kinds) before anything is run.
    """
    meant = [target for item in selector.split_list(text) for target in _targets(item)]
    for _, make in meant:
        Subject(make)  # refuses what is no codec
    for name, make in meant:
        yield CodecReport(name, list(checks.run(make)))


def _targets(item: str) -> Iterator[tuple[str, Factory]]:
    """(spelling, factory) of each configuration that one item of the list stands for."""
    if item == "all":
        for name in CODECS.available():
            if not issubclass(CODECS.get(name), Bound):
                yield name, CODECS.get(name)
        return
    module, *rest = item.split(":")
    if rest and "=" not in rest[0]:
        cls = _imported(module, rest[0])
        wanted = selector.parse(":".join([rest[0], *rest[1:]]))
        for settings in selector.expand(cls, wanted):
            spelled = f"{module}:{selector.spell(cls, rest[0], settings)}"
            yield spelled, _factory(cls, rest[0], settings)
        return
    wanted = selector.parse(item)
    for link in links(CODECS, wanted):
        settings = dict(link.config["settings"])
        yield link.text, _factory(CODECS.get(wanted.name), wanted.name, settings)


def _factory(cls: type, name: str, settings: dict[str, Any]) -> Factory:
    selector.build(cls, name, settings)  # raises BadSetting now rather than in a check
    return functools.partial(selector.build, cls, name, settings)


def _imported(module: str, name: str) -> type:
    """Import the class `name` of a module. Raises UsageError that says what is missing."""
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise UsageError(
            f"no module {module!r} ({error}); write NAME:key=value for a registered codec, or run "
            "this where the module can be imported"
        ) from error
    except Exception as error:  # a module may raise anything while it is imported
        raise UsageError(
            f"module {module!r} can't be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, type):
        raise UsageError(f"module {module!r} has no class {name!r}")
    return found


def as_json(done: Sequence[CodecReport]) -> str:
    """Return the trials as JSON, one object per codec."""
    return json.dumps(
        [
            {
                "codec": trial.codec,
                "passed": trial.passed,
                "checks": [dataclasses.asdict(outcome) for outcome in trial.outcomes],
            }
            for trial in done
        ],
        indent=1,
    )
