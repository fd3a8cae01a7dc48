"""Compressed folders in transformers and in loaders that take names and tensors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers

import slashbench
from slashbench.bench.runtimes.from_pretrained import CompressedConfig
from slashbench.errors import CorruptFile
from tests.helpers.command import bench
from tests.helpers.tiny_checkpoints import ARCHITECTURES

CLASSES = {
    "llama": "LlamaForCausalLM", "gemma": "Gemma2ForCausalLM", "qwen": "Qwen2ForCausalLM",
    "gpt2": "GPT2LMHeadModel", "bert": "BertForMaskedLM", "t5": "T5ForConditionalGeneration",
    "classifier": "BertForSequenceClassification", "whisper": "WhisperForConditionalGeneration",
    "vit": "ViTForImageClassification", "mixtral": "MixtralForCausalLM",
}  # fmt: skip


def _compressed(folder: Path, out: Path, *more: str) -> Path:
    done = bench("compress", folder, "-o", out, *more, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    return out


def _same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    wanted = other.state_dict()
    assert one.state_dict().keys() == wanted.keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_compressed_folder_is_the_model_it_was(
    name: str, checkpoints: Path, tmp_path: Path
) -> None:
    small = _compressed(checkpoints / name, tmp_path / "small")
    architecture = getattr(transformers, CLASSES[name])
    plain = architecture.from_pretrained(checkpoints / name)
    found = architecture.from_pretrained(small, quantization_config=CompressedConfig())
    _same(found, plain)
    assert not hasattr(found.config, "quantization_config")
    found.save_pretrained(tmp_path / "saved")
    _same(architecture.from_pretrained(tmp_path / "saved"), plain)


def test_shards_a_dtype_and_tensors_that_are_stored_once(checkpoints: Path, tmp_path: Path) -> None:
    plain = transformers.AutoModelForCausalLM.from_pretrained(checkpoints / "llama")
    layers = plain.model.layers
    layers[1].mlp.up_proj.weight.data = layers[0].mlp.up_proj.weight.data.clone()
    plain.save_pretrained(tmp_path / "sharded", max_shard_size="40KB")
    small = _compressed(tmp_path / "sharded", tmp_path / "small")
    assert len(list(small.glob("*.safetensors"))) > 1
    found = transformers.AutoModelForCausalLM.from_pretrained(
        small, quantization_config=CompressedConfig(), dtype=torch.bfloat16
    )
    _same(found, plain.to(torch.bfloat16))


def test_a_quantized_folder_loads_as_its_decoded_weights(checkpoints: Path, tmp_path: Path) -> None:
    small = _compressed(checkpoints / "gpt2", tmp_path / "small", "--quantize", "rtn:bits=8")
    found = transformers.AutoModelForCausalLM.from_pretrained(
        small, quantization_config=CompressedConfig()
    )
    wanted = slashbench.load_file(small)
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in wanted.items())


def test_damage_is_an_error(checkpoints: Path, tmp_path: Path) -> None:
    small = _compressed(checkpoints / "bert", tmp_path / "small")
    data = bytearray((small / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (small / "model.safetensors").write_bytes(data)
    with pytest.raises(CorruptFile):
        transformers.AutoModelForMaskedLM.from_pretrained(
            small, quantization_config=CompressedConfig()
        )


def test_names_and_tensors_for_other_loaders(checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "llama", tmp_path / "plain")
    small = _compressed(tmp_path / "plain", tmp_path / "small")
    wanted = transformers.AutoModelForCausalLM.from_pretrained(checkpoints / "llama").state_dict()
    seen = 0
    for name, tensor in slashbench.iterate_tensors(small):
        assert torch.equal(tensor, wanted[name])
        seen += 1
    assert seen == len(wanted)
