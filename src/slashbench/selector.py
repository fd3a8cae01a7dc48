"""How a user writes an entry and its settings: `name:key=value:key=value`.

Grammar::

    list      a,b,c                    several selectors
    chain     a+b+c                    a recipe: train + transform ... + quantize
    selector  name:key=value:...
    sweep     key=2..5                 every integer from 2 to 5
              lam=10..1000             decades, where the setting is a float: 10, 100, 1000
              step=2^-8..2^-4          octaves, where both ends are powers of two
              k=0/2/4                  the values named
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from slashbench import renamed
from slashbench.errors import BadSetting, UsageError

T = TypeVar("T")

_PLUS = re.compile(r"(?<![\d.][eE])\+|\+(?!\d)")

MAX_SWEEP = 1000  # values one sweep may have: a slip such as k=0..1e9 is refused


@dataclass(frozen=True, slots=True)
class Selector:
    """A name and its settings as written, not yet checked against the entry."""

    name: str
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it as a user writes it."""
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.settings)])


@dataclass(frozen=True, slots=True)
class Setting:
    """One keyword of an entry's constructor."""

    name: str
    type: Any
    default: Any


def split_list(text: str) -> list[str]:
    """Return `a,b` as [a, b]. Raise UsageError for an empty item."""
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(f"empty item in the list {text!r}")
    return items


def parse_chain(text: str) -> tuple[Selector, ...]:
    """Return `a:x=1+b` as two selectors. Raise UsageError for an empty link.

    The plus of an exponent, as in `lam=1e+3`, separates nothing.
    """
    return tuple(parse(link) for link in _PLUS.split(text))


def parse(text: str) -> Selector:
    """Return `name:key=value` as a Selector. Raise UsageError if it is not of that form."""
    name, *pairs = text.strip().split(":")
    if not name:
        raise UsageError(f"a name is missing in {text!r}; write name:key=value")
    settings = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{pair!r} in {text!r} is not of the form key=value")
        settings.append((key, value))
    if len({key for key, _ in settings}) < len(settings):
        raise UsageError(f"a setting is given twice in {text!r}")
    return Selector(name, tuple(settings))


def settings_of(cls: type) -> list[Setting]:
    """Return the settings of an entry: the keywords of its constructor, all with defaults."""
    return list(_settings(cls))


@functools.cache
def _settings(cls: type) -> list[Setting]:
    constructor: Any = getattr(cls, "__init__")  # noqa: B009  # the class's own, unbound
    if constructor is object.__init__:
        return []
    hints = typing.get_type_hints(constructor)
    if wrapped := getattr(cls, "settings_are_of", None):  # it hands all keywords to this class
        parameters, hints = list(inspect.signature(wrapped).parameters.values()), {}
    else:
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
    return [
        Setting(parameter.name, hints.get(parameter.name, _type_of(parameter)), parameter.default)
        for parameter in parameters
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def _type_of(parameter: inspect.Parameter) -> Any:
    """Return the type of an unannotated keyword, inferred from its default."""
    if parameter.default is None:
        return int | float | str
    kind = type(parameter.default)
    return kind if kind in _CONVERTERS else str


def expand(cls: type, selector: Selector) -> Iterator[dict[str, Any]]:
    """Yield every combination of settings that `selector` sweeps over, as typed values.

    Raises BadSetting for a setting `cls` does not have or a value it can't take.
    """
    known = {setting.name: setting for setting in settings_of(cls)}
    axes = []
    for key, text in selector.settings:
        if key not in known:
            raise BadSetting(_unknown_setting(selector.name, key, list(known)))
        axes.append([(key, value) for value in _values(selector.name, known[key], text)])
    for combination in itertools.product(*axes):
        yield dict(combination)


def build(cls: type[T], name: str, settings: Mapping[str, Any]) -> T:
    """Construct an entry; a value of another type, or one it refuses, becomes BadSetting."""
    if settings:  # from a file, they may be anything
        _check_types(cls, name, settings)
    try:
        return cls(**settings)
    except (ValueError, TypeError) as error:
        raise BadSetting(f"{name}: {error}") from error


def _check_types(cls: type, name: str, settings: Mapping[str, Any]) -> None:
    """Raise BadSetting for a value of another type than its keyword is annotated with."""
    if hasattr(cls, "settings_are_of"):  # the types are a guess
        return
    for setting in settings_of(cls):
        wanted, value = _TAKEN.get(setting.type), settings.get(setting.name, setting.default)
        if wanted and (not isinstance(value, wanted) or isinstance(value, bool) > (wanted is bool)):
            kind = setting.type.__name__
            raise BadSetting(f"{name}: {setting.name} is a {kind}, and not {value!r}")


def spell(cls: type, name: str, settings: Mapping[str, Any]) -> str:
    """Return the canonical spelling: settings in the constructor's order, without defaults.

    An entry's `always_spelled` names settings that are shown even at their default.
    """
    parts = [name]
    for setting in settings_of(cls):
        value = settings.get(setting.name, setting.default)
        if value != setting.default or setting.name in getattr(cls, "always_spelled", ()):
            parts.append(f"{setting.name}={spell_value(value)}")
    return ":".join(parts)


def spell_value(value: object) -> str:
    """Return a value as a user writes it; exact powers of two up to 1/8 as 2^-n."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        mantissa, exponent = math.frexp(value)
        if mantissa == 0.5 and exponent <= -2:
            return f"2^{exponent - 1}"
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return text.replace("e+", "e")  # a plus would end the link of a chain
    return str(value)


def _unknown_setting(name: str, key: str, known: list[str]) -> str:
    if not known:
        return f"{name} has no settings, so not {key!r}"
    if now := renamed.setting(name, key):
        return f"{name}: the setting {key!r} is written {now} now"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{name} has no setting {key!r}; {hint}it has {', '.join(known)}"


def _values(name: str, setting: Setting, text: str) -> list[Any]:
    if ".." not in text:
        return [_convert(name, setting, part) for part in text.split("/")]
    first, _, last = text.partition("..")
    low, high = _convert(name, setting, first), _convert(name, setting, last)
    if isinstance(low, bool) or not isinstance(low, int | float):
        raise BadSetting(f"{name}: {setting.name} is no number, so it has no range {text!r}")
    if isinstance(low, int):
        values: list[Any] = list(range(low, min(high, low + MAX_SWEEP) + 1))
    else:
        values = _geometric(low, high, 2.0 if "^" in first and "^" in last else 10.0)
    if not values or len(values) > MAX_SWEEP:
        raise BadSetting(f"{name}: the range {setting.name}={text} is empty or too long")
    return values


def _geometric(low: float, high: float, factor: float) -> list[float]:
    values: list[float] = []
    value = low
    while 0 < value <= high * (1 + 1e-9) and len(values) <= MAX_SWEEP:
        values.append(value)
        value *= factor
    return values


def _convert(name: str, setting: Setting, text: str) -> Any:
    for kind in typing.get_args(setting.type) or (setting.type,):
        if typing.get_origin(setting.type) is Literal:
            if text == str(kind):
                return kind
            continue
        try:
            return _CONVERTERS[kind](text)
        except (KeyError, ValueError):
            continue
    wanted = (
        " or ".join(map(str, typing.get_args(setting.type)))
        if typing.get_origin(setting.type) is Literal
        else getattr(setting.type, "__name__", str(setting.type))
    )
    raise BadSetting(f"{name}: {setting.name}={text!r} is not {wanted}")


def _to_float(text: str) -> float:
    base, power, exponent = text.partition("^")
    try:
        value = math.pow(float(base), float(exponent)) if power else float(text)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if value != value:
        raise ValueError("not a number")
    return value


def _to_bool(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]


_TAKEN: dict[Any, Any] = {int: int, float: (int, float), bool: bool, str: str}
_CONVERTERS: dict[Any, Any] = {int: int, float: _to_float, bool: _to_bool, str: str}
