"""Loading a checkpoint takes hardly more memory than its weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import bench_process

_MAKE = """
import sys, torch, transformers as t
config = t.LlamaConfig(hidden_size=1024, num_hidden_layers=12, num_attention_heads=8,
                       intermediate_size=2816, vocab_size=4000, max_position_embeddings=64)
model = t.LlamaForCausalLM(config)
model.save_pretrained(sys.argv[1])
torch.save(model.state_dict(), sys.argv[2])
"""
_LOAD = """
import json, resource, sys
from pathlib import Path
import torch, transformers
from transformers import LlamaForCausalLM
from slashbench import CompressedConfig
from slashbench.bench.formats.weight_files import WeightFiles
from slashbench.bench.models.external import loading

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

way, folder = sys.argv[1], Path(sys.argv[2])
small = LlamaForCausalLM(transformers.LlamaConfig(hidden_size=8, num_hidden_layers=1,
    num_attention_heads=1, intermediate_size=8, vocab_size=8))
before = peak()
if way == "from_pretrained":
    model = LlamaForCausalLM.from_pretrained(folder, quantization_config=CompressedConfig())
else:
    model = loading.module_of(folder, WeightFiles(folder))
size = sum(p.numel() * p.element_size() for p in model.parameters())
print(json.dumps([peak() - before, size]))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    (folder / "pickled").mkdir()
    file = folder / "pickled" / "pytorch_model.bin"
    subprocess.run([sys.executable, "-c", _MAKE, folder / "plain", file], check=True)
    config = (folder / "plain" / "config.json").read_bytes()
    (folder / "pickled" / "config.json").write_bytes(config)
    done = bench_process("compress", folder / "plain", "-o", folder / "small", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "form"),
    [("run", "plain"), ("run", "pickled"), ("run", "small"), ("from_pretrained", "small")],
)
def test_peak_memory_of_loading(way: str, form: str, large: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, way, large / form],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    taken, size = json.loads(done.stdout.splitlines()[-1])
    assert taken <= 1.2 * size
