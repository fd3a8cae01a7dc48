"""Checks of settings, for every class that takes some: each refuses with BadSetting.

A class checks what it is given itself, whoever constructs it. The messages name the setting.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, get_args

from slashbench.errors import BadSetting


def positive(**settings: Any) -> None:
    """Refuse settings that are not finite numbers above 0.

    >>> positive(eps=1.0, step=2**-8)
    """
    for name, value in settings.items():
        if not (_is_finite(value) and value > 0):
            raise BadSetting(f"{name}={value!r} must be a finite number > 0")


def not_negative(**settings: Any) -> None:
    """Refuse settings that are not finite numbers of 0 or more."""
    for name, value in settings.items():
        if not (_is_finite(value) and value >= 0):
            raise BadSetting(f"{name}={value!r} must be a finite number >= 0")


def at_least(least: int, **settings: Any) -> None:
    """Refuse settings that are not integers of `least` or more."""
    for name, value in settings.items():
        integer = isinstance(value, Integral) and not isinstance(value, bool)
        if not (integer and value >= least):
            raise BadSetting(f"{name}={value!r} must be an integer >= {least}")


def within(least: int, most: int, **settings: Any) -> None:
    """Refuse settings that are not integers from `least` to `most`."""
    for name, value in settings.items():
        integer = isinstance(value, Integral) and not isinstance(value, bool)
        if not (integer and least <= value <= most):
            raise BadSetting(f"{name}={value!r} must be an integer from {least} to {most}")


def share(**settings: Any) -> None:
    """Refuse settings that are not shares of a whole: numbers in [0, 1)."""
    for name, value in settings.items():
        if not (_is_finite(value) and 0 <= value < 1):
            raise BadSetting(f"{name}={value!r} must be a share in [0, 1)")


def choice(literal: Any, **settings: Any) -> None:
    """Refuse settings that are none of the values of a `Literal`.

    >>> from typing import Literal
    >>> choice(Literal["all", "matrices"], scope="matrix")
    Traceback (most recent call last):
        ...
    slashbench.errors.BadSetting: scope='matrix' must be all or matrices; did you mean 'matrices'?
    """
    values = get_args(literal)
    for name, value in settings.items():
        if value not in values:
            raise BadSetting(f"{name}={value!r} must be {_either(values)}{_closest(value, values)}")


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _either(values: Iterable[Any]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last


def _closest(value: Any, values: Iterable[Any]) -> str:
    close = difflib.get_close_matches(str(value).lower(), map(str, values), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
