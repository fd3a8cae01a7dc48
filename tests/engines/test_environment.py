"""A cluster of this machine leaves the process that starts it as it was."""

from __future__ import annotations

import os

import pytest

from slashbench.bench.engines import dask_engine


@pytest.mark.thorough
def test_a_cluster_leaves_the_environment_as_it_was() -> None:
    before = dict(os.environ)
    with dask_engine.local(1, retries=0) as client:
        client.wait_for_workers(1, timeout=60)
    names = ("PYTHONSAFEPATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    assert {n: os.environ.get(n) for n in names} == {n: before.get(n) for n in names}
