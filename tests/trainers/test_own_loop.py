"""BackSlash in a loop of one's own and in a Hugging Face Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import slashbench


def test_two_lines_in_a_torch_loop() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 30), nn.ReLU(), nn.Linear(30, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    backslash = slashbench.BackSlash(model, lam=1.0, update="proximal")
    x = torch.randn(64, 10)
    for _ in range(60):
        optimizer.zero_grad()
        (model(x) - x[:, :1]).square().mean().backward()
        optimizer.step()
        backslash.after_step()
    assert backslash.log()["zeros"] > 0.3
    assert float(model[0].weight.detach().count_nonzero()) < 300


class Rows(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.arange(index, index + 8) % 50
        return {"input_ids": ids, "labels": torch.tensor(index % 2)}


def trainer(folder: Path, **settings: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        num_labels=2,
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=12,
        per_device_train_batch_size=4,
        logging_steps=4,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    callbacks = [slashbench.BackSlashCallback(**settings)] if settings else []
    return transformers.Trainer(
        transformers.BertForSequenceClassification(config),
        arguments,
        train_dataset=Rows(),
        callbacks=callbacks,
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = trainer(tmp_path_factory.mktemp("plain"))
    run.train()
    return run


@pytest.mark.parametrize("update", ["gradient", "proximal"])
@pytest.mark.thorough
def test_trainer_callback(update: str, plain: Any, tmp_path: Path) -> None:
    constrained = trainer(tmp_path, lam=20.0, update=update)
    constrained.train()

    def size(run: Any) -> float:
        matrices = [p.detach().abs() for p in run.model.parameters() if p.ndim >= 2]
        return float(torch.cat([m.flatten() for m in matrices]).mean())

    assert size(constrained) < 0.99 * size(plain)
    logged = [row for row in constrained.state.log_history if "backslash_shape" in row]
    assert len(logged) >= 3
    (ours,) = (
        callback
        for callback in constrained.callback_handler.callbacks
        if isinstance(callback, slashbench.BackSlashCallback)
    )
    assert ours.backslash is not None
    assert ours.backslash.steps == 12
