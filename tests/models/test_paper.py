"""The paper's matrix on tiny checkpoints of its classes; what is said where it can't run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from slashbench.bench.models.catalog import MODELS
from slashbench.bench.models.paper_tasks import VARIABLE
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.contracts import Execution, Reference
from slashbench.errors import CorruptFile, MissingDependency, UnknownName, UsageError
from slashbench.trainers.catalog import REGIMES
from slashbench.trainers.training import setup

WORDS = [*"abcdefgh", "good", "bad", "Question:", "Answer:", "German:", "English:"]
SMALL: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2}
LLAMA: dict[str, Any] = {**SMALL, "num_key_value_heads": 1, "intermediate_size": 24}


def configuration(name: str, vocabulary: int) -> Any:
    import transformers as t

    made = {
        "bert-base": lambda: t.BertConfig(**SMALL, intermediate_size=24),
        "gpt2": lambda: t.GPT2Config(n_layer=2, n_embd=16, n_head=2),
        "llama-3.2-1b": lambda: t.LlamaConfig(**LLAMA),
        "gemma-2-2b": lambda: t.Gemma2Config(**LLAMA, head_dim=8),
        "deepseek-7b": lambda: t.LlamaConfig(**LLAMA, tie_word_embeddings=False),
    }[name]()
    made.vocab_size = vocabulary
    made.bos_token_id = made.eos_token_id = made.pad_token_id = 0
    return made


def save_tiny(name: str, folder: Path) -> None:
    """Save a tiny checkpoint of a model's own class, with a tokeniser of a few words."""
    import transformers as t
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokens = {word: i for i, word in enumerate(["<pad>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = t.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<pad>", unk_token="<unk>"
    )
    wrapped.save_pretrained(folder)
    kind = t.AutoModelForMaskedLM if name == "bert-base" else t.AutoModelForCausalLM
    torch.manual_seed(0)
    kind.from_config(configuration(name, len(tokens))).save_pretrained(folder)


def rows(task: str) -> Iterator[dict[str, Any]]:
    for i in range(120):
        text = " ".join(WORDS[(i * k) % 8] for k in range(1, 6)) + f" {i}"
        if task == "squad":
            yield {"context": text, "question": "a", "answers": {"text": ["b c"]}}
        elif task == "wmt19":
            yield {"translation": {"de": text, "en": "c d"}}
        else:
            yield {"text": text + (" good" if i % 2 else " bad"), "label": i % 2}


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path


def save_rows(task: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = [json.dumps(row) for row in rows(task)]
    test = "validation" if task in ("squad", "wmt19") else "test"
    (folder / f"{test}.jsonl").write_text("\n".join(lines[:40]))
    (folder / "train.jsonl").write_text("\n".join(lines[20:]))  # 20 rows are in both


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["bert-base.imdb", "gpt2.imdb", "llama-3.2-1b.enron", "gemma-2-2b.wmt19", "deepseek-7b.squad"],
)
def test_a_tiny_checkpoint_of_each_class_trains_and_is_evaluated(paper: Path, name: str) -> None:
    pytest.importorskip("datasets", reason="pip install 'slashbench[paper]'")
    model_name, _, task = name.rpartition(".")
    save_tiny(model_name, paper / "models" / model_name)
    save_rows(task, paper / "data" / task)
    model = MODELS.get(f"paper.{name}")(steps=8)
    before = model.evaluate(model.build(0), "test")
    assert before.n >= 40
    trained, log = setup.train_model(
        model, REGIMES.get("backslash")(lam=1.0), 0, Execution(precision="bf16")
    )
    assert log.steps == 8
    module = model.build(0)
    module.load_state_dict(trained)
    after = model.evaluate(module, "test", Reference(model.build(0)))
    assert after.also["kl"] > 0
    assert len(next(model.batches(0))[0]) == 8


@pytest.mark.slow
def test_no_text_is_in_two_splits(paper: Path) -> None:
    pytest.importorskip("datasets", reason="pip install 'slashbench[paper]'")
    from slashbench.bench.models import paper_tasks

    save_rows("imdb", paper / "data" / "imdb")
    task = paper_tasks.TASKS["imdb"]
    parts = [paper_tasks.examples(task, split) for split in ("train", "validation", "test")]
    texts = [text for part in parts for text, _ in part]
    assert len(texts) == len(set(texts)) == 120
    assert len(parts[2]) == 40


@pytest.mark.slow
def test_a_damaged_file_of_rows_is_named(paper: Path) -> None:
    pytest.importorskip("datasets", reason="pip install 'slashbench[paper]'")
    from slashbench.bench.models import paper_tasks

    save_rows("imdb", paper / "data" / "imdb")
    (paper / "data" / "imdb" / "test.jsonl").write_text('{"text": 1}\n{"text')
    with pytest.raises(CorruptFile, match=r"test\.jsonl can't be read"):
        paper_tasks.examples(paper_tasks.TASKS["imdb"], "test")


def test_what_is_not_here_is_left_out_with_the_line_that_brings_it(paper: Path) -> None:
    with pytest.raises(UsageError, match="no cell is left to run") as caught:
        matrix.plan(Request("paper"))
    assert str(caught.value).count("is not there; without SLASHBENCH_PAPER the hub has it") == 8
    os.environ.pop(VARIABLE)
    with pytest.raises(MissingDependency, match="hf download google-bert/bert-base-uncased"):
        MODELS.get("paper.bert-base.imdb")
    with pytest.raises(UnknownName, match=r"as in paper\.bert-base\.imdb"):
        MODELS.get("paper.bert-base.mnist")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_weights_that_take_a_gpu_are_refused_without_one(paper: Path) -> None:
    folder = paper / "models" / "deepseek-7b"
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(14 << 30)  # sparse
    with pytest.raises(MissingDependency, match=r"15\.0 GB of weights and takes a GPU"):
        MODELS.get("paper.deepseek-7b.squad")
