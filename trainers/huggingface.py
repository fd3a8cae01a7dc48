"""BackSlash in a Hugging Face Trainer: `Trainer(callbacks=[BackSlashCallback(lam=1000)], ...)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from slashbench.errors import MissingDependency
from slashbench.trainers.regimes.backslash import BackSlash, Shapes, Update, check_settings
from slashbench.trainers.training.parameters import Scope

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
else:
    try:
        from transformers import TrainerCallback
    except ImportError:  # the class can be named without transformers, not used
        TrainerCallback = None


class BackSlashCallback(TrainerCallback or object):  # type: ignore[misc]
    """Constrain the rate of the model that a Trainer trains: `slashbench.BackSlash` as a callback.

    Shape, rate, share of zeros and lam are logged as `backslash_shape` and so on. A Trainer's
    checkpoint does not hold what rounding to a narrow dtype left: a resumed run begins it anew.

    Parameters
    ----------
    lam, update, eps, scope, shape, shapes, every, strength
        As in `slashbench.BackSlash`, with the same defaults. A step is one of the optimiser.

    Raises
    ------
    BadSetting
        For a setting out of its range, before training starts.

    Examples
    --------
    >>> BackSlashCallback(lam=1000.0).settings["update"]
    'decoupled'
    """

    def __init__(
        self,
        lam: float = 1000.0,
        *,
        update: Update = "decoupled",
        eps: float = 1.0,
        scope: Scope = "all",
        shape: float | None = None,
        shapes: Shapes = "one",
        every: int = 1,
        strength: Callable[[int], float] | None = None,
    ) -> None:
        if TrainerCallback is None:
            raise MissingDependency(
                "BackSlashCallback needs transformers: pip install 'slashbench[models]'"
            )
        check_settings(
            lam=lam, update=update, eps=eps, scope=scope, shape=shape, shapes=shapes, every=every
        )
        self.settings: dict[str, Any] = {
            "lam": lam,
            "update": update,
            "eps": eps,
            "scope": scope,
            "shape": shape,
            "shapes": shapes,
            "every": every,
            "strength": strength,
        }
        self.backslash: BackSlash | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Bind BackSlash to the model; a resumed run continues at its step."""
        model: nn.Module = kwargs["model"]
        self.backslash = BackSlash(model, **self.settings)
        self.backslash.steps = state.global_step

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Act after the clipping of gradients."""
        assert self.backslash is not None
        self.backslash.before_step()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Act right after the optimiser's step."""
        assert self.backslash is not None
        self.backslash.after_step()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Add BackSlash's figures to the state's history and to the log of later callbacks."""
        if self.backslash is None:
            return
        seen = {f"backslash_{key}": value for key, value in self.backslash.log().items()}
        kwargs.get("logs", {}).update(seen)
        if state.log_history:
            state.log_history[-1].update(seen)
