"""What `import slashbench` gives: light, typed, the same for people, editors and checkers."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import slashbench
from slashbench.errors import UsageError
from tests.helpers.report_lab import Lab

ROOT = Path(__file__).parents[2]

#: What our signatures name of them is anything for a checker that skips them.
LIBRARIES = [
    f"{name}{part}"
    for name in ("torch", "numpy", "distributed", "dask", "numcodecs", "rich", "msgspec", "jinja2",
                 "transformers", "safetensors", "altair", "ml_dtypes", "zstandard", "filelock")
    for part in ("", ".*")
]  # fmt: skip

SAMPLE = """
import slashbench
import torch
from slashbench import BackSlash, BackSlashCallback, decode_limit, load_file, run

def train(model: torch.nn.Module) -> None:
    backslash = BackSlash(model, lam=1000.0)
    callback = BackSlashCallback(lam=1000.0)
    tensors: dict[str, torch.Tensor] = load_file("small.safetensors")
    slashbench.save_file(tensors, "smaller.safetensors")
    missing: list[str] = slashbench.load_model(model, "small.safetensors")[0]
    with slashbench.safe_open("small.safetensors", "pt") as file:
        names: list[str] = list(file.keys())
    token = decode_limit.set(1 << 30)
    decode_limit.reset(token)
    run(models="digits-mlp", seeds=[0, 1], out="results/local")
    slashbench.results("results/local")
    print(slashbench.__version__, backslash, callback, missing, names)
"""


@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
@pytest.mark.thorough
def test_a_checker_knows_every_name_and_refuses_others(whole: bool, tmp_path: Path) -> None:
    """whole: with the types of libraries, of which mypy reads torch's alone for a minute."""
    wrong = {
        "slashbench.lode_file('x')": "attr-defined",
        "slashbench.load_file(3, 4, 5, 6)": "call-arg",
        "slashbench.BackSlash(model, lamb=3)": "call-arg",
        "slashbench.run(model='digits-mlp')": "call-arg",
        "slashbench.results(7)": "arg-type",
    }
    lines = ["import slashbench", "import torch", "model = torch.nn.Linear(2, 2)", *wrong]
    programs = {"right.py": SAMPLE, "wrong.py": "\n".join(lines)}
    for name, program in programs.items():
        (tmp_path / name).write_text(program, encoding="utf-8")
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if not whole:
        settings += f"[[tool.mypy.overrides]]\nmodule = {json.dumps(LIBRARIES)}\n"
        settings += 'follow_imports = "skip"\nfollow_imports_for_stubs = true\n'
    config = tmp_path / "pyproject.toml"
    config.write_text(settings, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(config),
         "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"),
         *(str(tmp_path / name) for name in programs)],
        cwd=ROOT / "src", capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert not [line for line in said if "right.py" in line], said
    for number, kind in enumerate(wrong.values(), 4):
        assert any(f"wrong.py:{number}: " in line and f"[{kind}]" in line for line in said), said


def test_all_names_are_there_and_no_others() -> None:
    assert set(slashbench.__all__) <= set(dir(slashbench))
    assert all(getattr(slashbench, name) for name in slashbench.__all__)
    assert not hasattr(slashbench, "lode_file")


@pytest.mark.thorough
def test_importing_is_light_and_looking_needs_no_extra() -> None:
    program = """
import sys
sys.modules["transformers"] = None
import slashbench
assert not {"torch", "numpy", "numba", "rich", "dask"} & set(sys.modules)
import inspect
names = dict(inspect.getmembers(slashbench))
assert hasattr(slashbench, "BackSlashCallback") and "load_file" in names
from slashbench.errors import MissingDependency
try:
    slashbench.BackSlashCallback(lam=1.0)
except MissingDependency as error:
    assert "pip install 'slashbench[models]'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_version_is_written_twice_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == slashbench.__version__


def test_records_are_a_table(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.cell("huffman", 500)
    lab.cell("rans", 400, failed="no")
    table = slashbench.results(tmp_path)
    found = dict(zip(table["codec"].to_pylist(), table["file_bytes"].to_pylist(), strict=True))
    assert found == {"huffman": 500, "rans": None}
    assert slashbench.results(tmp_path / "nothing").num_rows == 0


def test_a_run_gives_the_cells_that_were_asked_for(tmp_path: Path) -> None:
    asked = {"models": "digits-mlp:steps=5", "recipes": ["plain"], "seeds": 0, "out": tmp_path}
    both = slashbench.run(**asked, codecs=["entropy", "pack"], progress=False)
    assert sorted(both["codec"].to_pylist()) == ["entropy", "pack"]
    one = slashbench.run(**asked, codecs="entropy", progress=False)
    assert one["status"].to_pylist() == ["ok"]
    with pytest.raises(UsageError, match="did you mean"):
        slashbench.run(**asked, codecs="entropi")


def test_every_public_name_says_what_it_takes() -> None:
    for name in ("run", "results"):
        function = getattr(slashbench, name)
        documented = inspect.getdoc(function) or ""
        for parameter in inspect.signature(function).parameters:
            assert parameter in documented, (name, parameter)
