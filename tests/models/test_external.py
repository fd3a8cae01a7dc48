"""Checkpoints that this project has never seen: every architecture, format and metric."""

from __future__ import annotations

import json
import math
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional

from slashbench.bench.data.base import file_sha256
from slashbench.bench.formats.weight_files import WeightFiles
from slashbench.bench.models.external import catalog, loading, spelling
from slashbench.bench.models.external.text_file import MOST_BYTES, read_lines
from slashbench.bench.plan import matrix
from slashbench.contracts import Model, Reference
from slashbench.errors import CorruptFile, UsageError
from tests.helpers.command import bench
from tests.helpers.tiny_checkpoints import ARCHITECTURES


def _model(checkpoints: Path, name: str, **settings: Any) -> Model:
    pairs = "".join(f":{key.replace('_', '-')}={value}" for key, value in settings.items())
    return catalog.link_of(f"{checkpoints / name}{pairs}").item


def _rounded(module: torch.nn.Module, digits: int) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.mul(10**digits).round().div(10**digits))
    return module


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_built_with_its_own_weights(name: str, checkpoints: Path) -> None:
    folder = checkpoints / name
    found = loading.module_of(folder, WeightFiles(folder))
    wanted = type(found).from_pretrained(folder).state_dict()
    assert all(torch.equal(tensor, wanted[key]) for key, tensor in found.state_dict().items())
    model = _model(checkpoints, name)
    raw = model.build(0)
    assert model.evaluate(raw, "test").value == 0
    worse = model.evaluate(_rounded(model.build(0), 1), "test", Reference(raw))
    assert 0.05 < worse.value < 2


@pytest.mark.parametrize("form", ["bin", "old bin", "shards", "compressed"])
def test_every_form_of_a_folder(form: str, checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoints / "llama", folder)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder)
    if "bin" in form:
        (folder / "model.safetensors").unlink()
        torch.save(
            plain.state_dict(), folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=form == "bin",
        )  # fmt: skip
    elif form == "shards":
        (folder / "model.safetensors").unlink()
        plain.save_pretrained(folder, max_shard_size="40KB")
    else:
        assert bench("compress", folder, "-o", tmp_path / "small", cwd=tmp_path).returncode == 0
        folder = tmp_path / "small"
    found = loading.module_of(folder, WeightFiles(folder)).state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in plain.state_dict().items())


@pytest.mark.parametrize("name", ["llama", "gemma", "qwen", "gpt2", "bert", "t5"])
def test_language_models_on_a_text(name: str, checkpoints: Path) -> None:
    model = _model(checkpoints, name, text=checkpoints / "corpus.txt", chunks=6)
    module = model.build(0)
    found = model.evaluate(module, "test")
    assert found.name == model.metric
    assert found.n == 6
    again = model.evaluate(model.build(0), "test", Reference(module))
    assert again.value == pytest.approx(found.value)
    assert again.also["kl"] < 1e-5
    worse = model.evaluate(_rounded(model.build(0), 1), "test", Reference(module))
    assert worse.also["kl"] > 10 * again.also["kl"]
    assert model.evaluate(module, "validation").value != found.value


def test_bits_per_byte_are_those_of_the_text(checkpoints: Path) -> None:
    """All rows of a short text: their bits are the loss of transformers, their bytes the file's."""
    model = _model(checkpoints, "llama", text=checkpoints / "corpus.txt", chunks=1 << 20)
    module = model.build(0)
    found = model.evaluate(module, "test")
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints / "llama")
    text = (checkpoints / "corpus.txt").read_text(encoding="utf-8")
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
    width = model.width  # type: ignore[attr-defined]
    bits = size = 0.0
    for row in range((len(ids) - 1) // width):
        if row % 4 == 1:  # for validation
            continue
        here = ids[row * width : (row + 1) * width + 1]
        given = torch.cat([torch.tensor([tokenizer.bos_token_id]), here[:-1]])[None]
        with torch.no_grad():
            logits = module(input_ids=given).logits[0, 1:]
        bits += float(functional.cross_entropy(logits, here[1:], reduction="sum")) / math.log(2)
        size += len(tokenizer.decode(here[1:]).encode())
    assert found.value == pytest.approx(bits / size, rel=1e-5)


def test_classifiers_with_labels_and_without(checkpoints: Path, tmp_path: Path) -> None:
    labelled = _model(checkpoints, "classifier", text=checkpoints / "lines.tsv")
    found = labelled.evaluate(labelled.build(0), "test")
    assert found.name == "cross-entropy, nats"
    assert found.n == 30
    bare = tmp_path / "lines.txt"
    text = (checkpoints / "lines.tsv").read_text(encoding="utf-8").replace("\t", " ")
    bare.write_text(text, encoding="utf-8")
    alone = _model(checkpoints, "classifier", text=bare)
    module = alone.build(0)
    assert alone.evaluate(module, "test").value == 0
    assert alone.evaluate(_rounded(alone.build(0), 1), "test", Reference(module)).value > 0


def test_lines_end_where_lines_end(checkpoints: Path, tmp_path: Path) -> None:
    """Not at what Python also ends a line, nor where a long file is cut off."""
    said = (checkpoints / "lines.tsv").read_text(encoding="utf-8")
    file = tmp_path / "lines.tsv"
    file.write_bytes(b"\xef\xbb\xbf" + said.replace("sheep", "sheep\u2028\x0c").encode())
    model = _model(checkpoints, "classifier", text=file)
    assert model.metric == "cross-entropy, nats"
    assert model.evaluate(model.build(0), "test").n == 30
    long = f"1\t{'x' * 1000}\n".encode() * (MOST_BYTES // 1000)
    file.write_bytes(long[: MOST_BYTES - 1] + b"\n" + long)
    assert {line[:2] for line in read_lines(str(file))} == {"1\t"}
    file.write_bytes(long[: MOST_BYTES // 1003 * 1003] + b"1" + b"9" * 5000)
    assert {line[:2] for line in read_lines(str(file))} == {"1\t"}


def test_a_text_in_the_folder_of_the_user(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copy(checkpoints / "corpus.txt", tmp_path)
    model = _model(checkpoints, "llama", text="~/corpus.txt")
    assert len(model.inputs()["text file"]) == 64
    with pytest.raises(UsageError, match="~nobody-is-called-so"):
        _model(checkpoints, "llama", text="~nobody-is-called-so/corpus.txt")


@pytest.mark.parametrize("name", ["whisper", "vit"])
def test_a_model_that_reads_no_text_says_so(name: str, checkpoints: Path) -> None:
    with pytest.raises(UsageError, match="no answers to a text"):
        _model(checkpoints, name, text=checkpoints / "corpus.txt")


def test_a_run_on_a_folder_as_a_user_types_it(checkpoints: Path, tmp_path: Path) -> None:
    done = bench(
        "run", "--models", checkpoints / "llama", "--eval", f"text:{checkpoints / 'corpus.txt'}",
        "--calibration", f"text:{checkpoints / 'calibration.txt'}", "--recipes",
        "plain+native,plain+gptq:step=0.25:unit=std", "--codecs", "float-rans,rans",
        "--jobs", "0", "--out", tmp_path, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 cells are good" in done.stdout


def test_a_file_of_weights_without_a_metric_in_a_run(checkpoints: Path, tmp_path: Path) -> None:
    state = transformers.AutoModelForImageClassification.from_pretrained(checkpoints / "vit")
    torch.save(state.state_dict(), tmp_path / "vit.pt")
    done = bench(
        "run", "--models", "vit.pt", "--recipes", "plain+rtn:bits=4", "--codecs", "rans",
        "--jobs", "0", "--out", "results", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench("report", "--json", "rows.json", "--out", "results", cwd=tmp_path).returncode == 0
    rows = (tmp_path / "rows.json").read_text(encoding="utf-8")
    assert "relative error of weights" in rows


def test_a_function_of_the_user(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "lossmeter.py").write_text(
        "def losses(module, split):\n"
        "    return [float(p.abs().mean()) for p in module.parameters()]\n",
        encoding="utf-8",
    )
    done = bench(
        "run", "--models", checkpoints / "vit", "--eval", "lossmeter:losses", "--recipes",
        "plain+native", "--codecs", "float-rans", "--jobs", "0", "--out", "results", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["loss.mean()", "loss", "float(loss.mean())"])
def test_a_function_returns_one_loss_or_several(
    what: str, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "lossmeter", raising=False)
    (tmp_path / "lossmeter.py").write_text(
        f"import torch\ndef losses(module, split):\n    loss = torch.ones(3)\n    return {what}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    model = _model(checkpoints, "vit", function="lossmeter:losses")
    assert model.evaluate(model.build(0), "test").value == 1


def test_a_metric_of_the_user_takes_calibration_too(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"function": "math:sqrt", "calibration": checkpoints / "calibration.txt"}
    model = _model(checkpoints, "llama", **said)
    assert model.metric == "loss by the user's function"
    assert model.loss(model.build(0), next(model.calibration(0))) > 0
    with pytest.raises(UsageError, match="no file at"):
        _model(checkpoints, "llama", **(said | {"calibration": checkpoints / "none.txt"}))


def test_a_task_of_lm_eval(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, wrapper = types.ModuleType("lm_eval"), types.ModuleType("lm_eval.models.huggingface")
    samples = {"mine": [{"acc": 1.0}, {"acc": 0.0}, {"acc": 0.0}, {"acc": 0.0}]}
    harness.simple_evaluate = lambda **_: {"samples": samples}  # type: ignore[attr-defined]
    wrapper.HFLM = lambda **_: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lm_eval", harness)
    monkeypatch.setitem(sys.modules, "lm_eval.models", types.ModuleType("lm_eval.models"))
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", wrapper)
    task = tmp_path / "mine.yaml"
    task.write_text("task: mine\n", encoding="utf-8")
    model = _model(checkpoints, "llama", lm_eval=task)
    assert model.evaluate(model.build(0), "test").value == 0.75
    before = model.inputs()
    samples.clear()
    with pytest.raises(UsageError, match="no items of 'mine'"):
        model.evaluate(model.build(0), "test")
    task.write_bytes(b"task: mine\nlimit: \xff\n")
    file_sha256.cache_clear()
    assert model.inputs() != before
    with pytest.raises(UsageError, match="no task that can be read"):
        model.evaluate(model.build(0), "test")


def test_calibration_is_no_text_of_evaluation(checkpoints: Path) -> None:
    text = checkpoints / "corpus.txt"
    with pytest.raises(UsageError, match="calibrate on another"):
        _model(checkpoints, "llama", text=text, calibration=text)
    model = _model(checkpoints, "llama", text=text)
    with pytest.raises(UsageError, match="--calibration text:FILE"):
        next(model.calibration(0))


def test_a_hub_that_gives_nothing_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="hf download some/model --revision v2"):
        matrix.plan(matrix.Request(models="hf:some/model@v2"))
    plan = matrix.plan(matrix.Request(models="hf:some/model,digits-mlp", codecs="rans"))
    assert "HF_HOME" in plan.left_out["model hf:some/model"]


def test_a_snapshot_of_the_hub(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache as the client lays it out."""
    folder, commit = tmp_path / "models--some--llama", "0123456789" * 4
    shutil.copytree(checkpoints / "llama", folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    link = catalog.link_of("hf:some/llama", f"text:{checkpoints / 'corpus.txt'}")
    assert link.text == f"hf:some/llama:text={checkpoints / 'corpus.txt'}"
    assert link.item.evaluate(link.item.build(0), "test").value > 0


def test_code_that_comes_with_a_checkpoint_is_not_run(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoints / "llama", folder)
    (folder / "mine.py").write_text("open('ran', 'w')\n", encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "architectures": ["Mine"], "auto_map": {
        "AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.Mine"}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="transformers can't load it"):
        _model(tmp_path, "model", text=checkpoints / "corpus.txt")
    assert not (tmp_path / "ran").exists()


def test_missing_tensors_are_named(checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoints / "llama", folder)
    state = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    del state["model.norm.weight"]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(CorruptFile, match=r"model\.norm\.weight"):
        loading.module_of(folder, WeightFiles(folder))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("./a/b:text=c.txt", "a/b:text=c.txt"),
        ("hf:x/y@main:calibration=b.txt:text=a.txt", "hf:x/y@main:text=a.txt:calibration=b.txt"),
        ("model.bin", "model.bin"),
        ("folder", "./folder"),
        ("C:\\x\\y.pt:chunks=3", "C:\\x\\y.pt:chunks=3"),
    ],
)
def test_places_have_one_spelling(said: str, text: str) -> None:
    assert spelling.parse(said).text == text
    assert spelling.parse(text).text == text
    assert spelling.is_external(text)


@pytest.mark.parametrize(
    "given", ["text:", "nothing", ":f", "text"], ids=["no file", "no kind", "no module", "bare"]
)
def test_what_eval_does_not_mean_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--eval"):
        spelling.with_defaults(spelling.parse("./x"), given, None)
