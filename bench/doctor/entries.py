"""What is registered: compiled kernels, codecs that give tensors back, models and their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from slashbench import compiled
from slashbench.arrays import Array
from slashbench.bench.data.asset_catalog import ASSETS
from slashbench.bench.doctor.health_check import HealthCheck
from slashbench.bench.models.catalog import MODELS
from slashbench.codecs.base import Bound, DeltaCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.codecs.kernels import prefix
from slashbench.errors import SlashbenchError
from slashbench.registry import Registry

_SEED, _SHAPE = 0, (24, 40)


def kernels() -> HealthCheck:
    """Return where compiled kernels are kept, and how many are there."""
    folder = compiled.kept_in(prefix.encode)
    if folder is None:
        return HealthCheck(
            "codecs",
            "kernels",
            "note",
            "compiled kernels are kept nowhere: each process compiles them, up to a minute",
            "set NUMBA_CACHE_DIR to a folder that can be written",
        )
    kept = len(list(folder.glob("*.nbi")))
    said = f"{kept} compiled in {folder}" if kept else f"none compiled yet; they go to {folder}"
    return HealthCheck("codecs", "kernels", "good", said)


def codecs() -> Iterator[HealthCheck]:
    """Yield whether each codec gives a tiny tensor back; the first time, kernels are compiled."""
    for registry in (CODECS, DELTAS):
        for name in registry.names():
            if (reason := registry.lacks(name)) is not None:
                yield HealthCheck("codecs", name, "note", "not here", reason)
            elif (found := _round_trip(registry, name)) is not None:
                yield found
        for problem in registry.problems:
            yield HealthCheck("codecs", "plug-in", "problem", problem, "see its package")


def _round_trip(registry: Registry[Any], name: str) -> HealthCheck | None:
    try:
        cls = registry.get(name)
        if issubclass(cls, Bound):
            return None
        codec = cls()
        tensor = _tensor("integers" if "integers" in codec.domains else "floats")
        if isinstance(codec, DeltaCodec):
            codec = codec.given(np.roll(tensor, 1))
        stream = codec.encode(tensor)
        back = np.asarray(codec.decode(stream)).reshape(tensor.shape)
    except Exception as error:  # of whatever library
        said = f"{type(error).__name__}: {error}"
    else:
        if back.dtype == tensor.dtype and back.tobytes() == tensor.tobytes():
            size = memoryview(stream).nbytes
            return HealthCheck("codecs", name, "good", f"{tensor.nbytes} bytes in {size} and back")
        said = "another tensor came back"
    remedy = f"bench test-codec {name} says more; install its package anew"
    return HealthCheck("codecs", name, "problem", said, remedy)


def _tensor(domain: str) -> Array:
    drawn = np.random.default_rng(_SEED).laplace(0, 2, _SHAPE)
    return np.round(drawn).astype(np.int32) if domain == "integers" else drawn.astype(np.float32)


def models() -> Iterator[HealthCheck]:
    """Yield whether each model has its packages and files; none is loaded."""
    for name in MODELS.names():
        reason = MODELS.lacks(name)
        if reason is None:
            yield HealthCheck("models", name, "good", "its packages and files are here")
        else:
            yield HealthCheck("models", name, "note", "not here", reason)


def assets() -> Iterator[HealthCheck]:
    """Yield whether the files of each asset are here and what they should be."""
    for asset in ASSETS.values():
        if asset.missing():
            yield HealthCheck("files", asset.name, "note", "not fetched", asset.remedy)
            continue
        try:
            for file in asset.sha256:
                asset.path(file)
        except (SlashbenchError, OSError) as error:
            yield HealthCheck("files", asset.name, "problem", str(error), asset.remedy)
        else:
            count = len(asset.sha256)
            yield HealthCheck("files", asset.name, "good", f"{count} files, hashes as pinned")
