"""How a training was executed is a field of its record; old records say it behind the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slashbench import record, upgrade
from slashbench.bench.report.data import results
from slashbench.bench.store.store import Store
from slashbench.contracts import Execution
from slashbench.record import CellRecord, CheckpointRecord, TimeRecord
from tests.helpers.report_lab import Lab


@pytest.mark.parametrize(
    ("old", "recipe", "execution"),
    [
        ("plain+quantize:step=2^-8 (bf16)", "plain+quantize:step=2^-8", "bf16"),
        ("plain (bf16, 2 processes)", "plain", "bf16, 2 processes"),
        ("plain+quantize", "plain+quantize", ""),
    ],
)
def test_old_records_are_upgraded(old: str, recipe: str, execution: str) -> None:
    found = upgrade.upgraded({"schema_version": 1, "stage": "cell", "recipe": old})
    assert (found["recipe"], found["execution"]) == (recipe, execution)


def test_a_folder_of_old_records_is_read(tmp_path: Path) -> None:
    """As version 1 wrote them: the boards keep both executions apart."""
    lab = Lab(tmp_path)
    for execution in ("", "bf16"):
        lab.cell("a", 500, recipe="plain+quantize:step=2^-8", execution=execution)
    for path in (tmp_path / "records").rglob("*.json"):
        old = json.loads(path.read_text())
        old["schema_version"] = 1
        if old.pop("execution", ""):
            old["recipe"] += " (bf16)"
        path.write_text(json.dumps(old))
    store = Store(tmp_path)
    for kind in (CheckpointRecord, TimeRecord, CellRecord):
        assert {found.execution for found in store.all(kind)} == {"", "bf16"}
        assert not any("(" in found.recipe for found in store.all(kind))
    rows = results.load(store).rows
    assert {(row.recipe, row.chain) for row in rows} == {
        ("plain+quantize:step=2^-8", "plain"),
        ("plain+quantize:step=2^-8 (bf16)", "plain (bf16)"),
    }


def test_what_is_shown_is_what_was_written() -> None:
    execution = Execution(precision="bf16", processes=2).text
    shown = record.executed("plain+quantize", execution)
    assert shown == "plain+quantize (bf16, 2 processes)"
