"""All that the doctor looks at, in the order in which things depend on one another."""

from __future__ import annotations

from collections.abc import Iterator

from slashbench.bench.doctor import requirements, surroundings
from slashbench.bench.doctor.health_check import HealthCheck


def visit(quick: bool) -> Iterator[HealthCheck]:
    """Yield what each look found. quick: no codec is run, and no file is hashed."""
    yield from surroundings.machine()
    yield from surroundings.folders()
    found = list(requirements.packages())
    yield from found
    if any(one.status == "problem" for one in found if one.name == requirements.NAME):
        return  # what follows imports them
    yield from surroundings.torch_build()
    from slashbench.bench.doctor import entries

    yield from entries.models()
    if quick:
        return
    yield from entries.assets()
    yield entries.kernels()
    yield from entries.codecs()
