"""How a user writes a checkpoint of their own: `PLACE:key=value`, and what `--eval` means.

PLACE is `hf:REPO`, `hf:REPO@REVISION`, or the path of a file or folder. It stands in records as it
was written, so relative paths keep boards readable; what is in the files goes into their keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from slashbench.errors import BadSetting, UsageError

HUB = "hf:"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx")

#: Settings, of which the first three say how quality is measured.
TEXT, FUNCTION, LM_EVAL = "text", "function", "lm-eval"
CALIBRATION, CHUNKS, CONTEXT = "calibration", "chunks", "context"
EVALUATIONS = (TEXT, FUNCTION, LM_EVAL)
TASK_FILES = (".yaml", ".yml")  # of lm-eval
_KEYS = (*EVALUATIONS, CALIBRATION, CHUNKS, CONTEXT)
_SETTING = re.compile(rf":(?=(?:{'|'.join(_KEYS)})=)")


@dataclass(frozen=True, slots=True)
class ExternalName:
    """A place and its settings."""

    place: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the canonical spelling."""
        pairs = (f":{key}={self.settings[key]}" for key in _KEYS if key in self.settings)
        return self.place + "".join(pairs)

    @property
    def evaluation(self) -> str:
        """Return which setting says how quality is measured; empty for none."""
        return next((key for key in EVALUATIONS if key in self.settings), "")

    @property
    def files(self) -> dict[str, Path]:
        """Return the settings that name files of the user's."""
        found = {key: self.settings[key] for key in (TEXT, CALIBRATION) if key in self.settings}
        task = self.settings.get(LM_EVAL, "")
        if task.endswith(TASK_FILES):
            found[LM_EVAL] = task
        return {key: expanded(said) for key, said in found.items()}

    def number(self, key: str, default: int) -> int:
        """Return a setting that is a number above 0. Raises BadSetting for another."""
        said = self.settings.get(key, str(default))
        if not said.isdecimal() or len(said) > 7 or not 1 <= int(said) <= 1 << 20:
            raise BadSetting(f"{self.place}: {key}={said!r} is no number from 1 to {1 << 20}")
        return int(said)


def expanded(said: str) -> Path:
    """Return a path whose `~` is followed. Raises UsageError for a user who is not known here."""
    try:
        return Path(said).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{said}: {error}") from error


def is_external(text: str) -> bool:
    """Return whether a model is written as a place, not as a registered name."""
    place = _SETTING.split(text)[0]
    return (
        place.startswith((HUB, ".", "~"))
        or any(mark in place for mark in ("/", "\\"))
        or place.endswith(SUFFIXES)
    )


def parse(text: str) -> ExternalName:
    """Return a place and its settings. Raises UsageError for a setting given twice or too many."""
    place, *pairs = _SETTING.split(text)
    settings: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key in settings or not value:
            raise UsageError(f"{key!r} in {text!r} is given twice, or nothing is given")
        settings[key] = value
    if len(chosen := settings.keys() & set(EVALUATIONS)) > 1:
        raise UsageError(f"{text!r} names {' and '.join(sorted(chosen))}: one metric a model")
    if not place.startswith(HUB):
        place = Path(place).as_posix()
        if not is_external(place):
            place = f"./{place}"
    return ExternalName(place, settings)


def with_defaults(
    name: ExternalName, evaluation: str | None, calibration: str | None
) -> ExternalName:
    """Return the name with what `--eval` and `--calibration` say, where it says nothing itself.

    Raises UsageError for what is not of their form.
    """
    settings = dict(name.settings)
    if evaluation and not name.evaluation:
        key, value = _evaluation(evaluation)
        settings[key] = value
    if calibration and CALIBRATION not in settings:
        kind, _, file = calibration.partition(":")
        if kind != TEXT or not file:
            raise UsageError(f"--calibration {calibration!r} is not of the form text:FILE")
        settings[CALIBRATION] = file
    return replace(name, settings=settings)


def _evaluation(said: str) -> tuple[str, str]:
    kind, _, value = said.partition(":")
    if not kind or not value:
        raise UsageError(
            f"--eval {said!r} is not of the form text:FILE, module:function or lm-eval:TASK"
        )
    return (kind, value) if kind in (TEXT, LM_EVAL) else (FUNCTION, said)
