"""Where the files of an external checkpoint are: a path here, or a snapshot of a hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from slashbench.bench.models.external.spelling import HUB, expanded
from slashbench.errors import MissingDependency, UsageError

#: What a checkpoint is made of: no code, and no weights of formats that are not read.
_WANTED = (
    "*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "pytorch_model*.bin",
)  # fmt: skip


def located(place: str) -> Path:
    """Return the file or folder of a checkpoint; that of a hub is fetched if it is not there yet.

    Raises
    ------
    UsageError
        Where there is nothing.
    MissingDependency
        Where the hub, or the package that asks it, can't be reached; with the line that helps.
    """
    if not place.startswith(HUB):
        path = expanded(place)
        if not path.exists():
            raise UsageError(f"nothing at {path}; name a file of weights, a folder, or hf:REPO")
        return path
    repository, _, revision = place.removeprefix(HUB).partition("@")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingDependency(f"{place} needs huggingface_hub: pip install 'slashbench[models]'")
    import huggingface_hub

    try:
        folder: str = huggingface_hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=list(_WANTED)
        )
        return Path(folder)
    except ValueError as error:  # the name of a repository that can't be one
        raise UsageError(f"{place}: {error}") from error
    except Exception as error:  # the client's, of the network, of the hub
        at = f" --revision {revision}" if revision else ""
        raise MissingDependency(
            f"{place} is not in the cache, and the hub gave nothing ({type(error).__name__}): "
            f"where there is a network, run `hf download {repository}{at}`, copy its cache here "
            "and set HF_HOME to it"
        ) from error
