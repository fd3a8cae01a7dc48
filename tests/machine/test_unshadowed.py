"""Python without the working directory in its path, for what is started meanwhile."""

from __future__ import annotations

import os

import pytest

from slashbench.bench.machine.fresh_process import SAFE_PATH, unshadowed

(NAME,) = SAFE_PATH


@pytest.mark.parametrize("value", [None, "", "1"])
def test_contexts_that_overlap_leave_the_environment_as_it_was(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of two threads do, the first of which ends first."""
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    first, second = unshadowed(), unshadowed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ[NAME] == "1"
    second.__exit__(None, None, None)
    assert os.environ.get(NAME) == value
