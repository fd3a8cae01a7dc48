"""`CompressedConfig`, which can be named where transformers is missing, but not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slashbench.errors import MissingDependency


class _WithoutTransformers:
    """Stands in its place, and says what to install."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise MissingDependency(
            "CompressedConfig needs transformers 5: pip install 'slashbench[models]'"
        )


if TYPE_CHECKING:
    from slashbench.bench.runtimes.from_pretrained import CompressedConfig as CompressedConfig
else:
    try:
        from slashbench.bench.runtimes.from_pretrained import CompressedConfig
    except ImportError:
        CompressedConfig = _WithoutTransformers
