"""External checkpoints as links of a plan: which kind of model one is, by its metric."""

from __future__ import annotations

from typing import Any

from slashbench import code_identity
from slashbench.bench.models.external import classifier, language, loading, spelling, user_metric
from slashbench.bench.models.external.checkpoint import ExternalModel, WeightsOnly
from slashbench.bench.models.external.hub import located
from slashbench.bench.models.external.spelling import (
    CALIBRATION,
    FUNCTION,
    LM_EVAL,
    TEXT,
    ExternalName,
)
from slashbench.contracts import Model
from slashbench.errors import UsageError
from slashbench.link import Link

_FLOPS = 2e10  # a second, of one core
_METRICS: dict[str, Any] = {
    "": WeightsOnly,
    FUNCTION: user_metric.FunctionModel,
    LM_EVAL: user_metric.LmEvalModel,
}
_SETTINGS_OF_METRIC = (FUNCTION, LM_EVAL, spelling.CHUNKS, spelling.CONTEXT)


def link_of(
    text: str, evaluation: str | None = None, calibration: str | None = None
) -> Link[Model]:
    """Return the model that a place stands for.

    Parameters
    ----------
    text
        A place and its settings; see `spelling`.
    evaluation, calibration
        What `--eval` and `--calibration` say; the place's own settings go before.

    Raises
    ------
    UsageError
        Where nothing is there, or the metric does not fit the model.
    MissingDependency
        Where a package or the hub is missing.
    CorruptFile
        For a damaged file.
    """
    name = spelling.with_defaults(spelling.parse(text), evaluation, calibration)
    kind = kind_of(name)
    item = kind(name)
    tokens = name.number(spelling.CHUNKS, language.ROWS) * language.WIDTH
    hints = {
        "source": name.place,
        "weights_hint": item.weights_count,
        "evaluate_hint_s": 1.0 + 2 * item.weights_count * tokens / _FLOPS * bool(name.evaluation),
    }
    vars(item).update(hints)
    settings = {key: name.settings[key] for key in _SETTINGS_OF_METRIC if key in name.settings}
    config: dict[str, Any] = {"name": kind.__name__, "revision": 1, "settings": settings}
    return Link(name.place, item, name.text, config, _code(name))


def kind_of(name: ExternalName) -> type[ExternalModel]:
    """Return the class of model that this metric makes of a checkpoint. Raises as `link_of`."""
    calibrates = CALIBRATION in name.settings
    _check_files(name)
    if name.evaluation == FUNCTION and not calibrates:
        return user_metric.FunctionModel
    if not name.evaluation and not calibrates:
        return WeightsOnly
    path = located(name.place)
    folder = path if path.is_dir() else path.parent
    architecture = loading.architecture_of(loading.config_of(folder), folder)
    kind = _by_text(architecture.__name__, loading.config_of(folder), architecture)
    if name.evaluation == LM_EVAL and not calibrates:
        return user_metric.LmEvalModel
    if kind is None:
        raise UsageError(
            f"{name.place}: {architecture.__name__} has no answers to a text; take --eval "
            "module:function, or leave out --eval and --calibration"
        )
    if name.evaluation in _METRICS:
        return _calibrated(_METRICS[name.evaluation], kind)
    if kind is classifier.SequenceClassifier and not classifier.has_labels(name.settings[TEXT]):
        return classifier.UnlabelledClassifier
    return kind


def _by_text(name: str, config: Any, architecture: Any) -> type[ExternalModel] | None:
    if architecture.main_input_name != "input_ids":
        return None
    if name.endswith("ForSequenceClassification"):
        return classifier.SequenceClassifier
    for ending, kind in language.KINDS.items():
        if name.endswith(ending):
            decoder = kind is language.SequenceToSequenceModel and not config.is_encoder_decoder
            return language.CausalLanguageModel if decoder else kind
    return None


def _calibrated(metric: type[ExternalModel], kind: type[ExternalModel]) -> type[ExternalModel]:
    """Return a class that calibrates as `kind` does, under another metric."""
    name = "WithoutMetric" if metric is WeightsOnly else f"Under{metric.__name__}"
    return type(kind.__name__ + name, (metric, kind), {})


def _check_files(name: ExternalName) -> None:
    for path in name.files.values():
        if not path.is_file():
            raise UsageError(f"no file at {path}")
    texts = [name.files[key] for key in (TEXT, CALIBRATION) if key in name.files]
    if len(texts) == 2 and texts[0].samefile(texts[1]):
        raise UsageError(
            f"{texts[0]} is both the text of --eval and of --calibration: calibrate on another one"
        )


def _code(name: ExternalName) -> dict[str, str]:
    """Return the code that the model runs beside that of slashbench."""
    found = {}
    if name.evaluation or CALIBRATION in name.settings:
        found["transformers"] = code_identity.version("transformers")
    if name.evaluation == LM_EVAL:
        found["lm_eval"] = code_identity.version("lm_eval")
    if name.evaluation == FUNCTION:
        found |= user_metric.code_of(name.settings[FUNCTION])
    return found
