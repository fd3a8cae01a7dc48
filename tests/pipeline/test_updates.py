"""Recipes whose file holds only what differs from a public base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import slashbench
from slashbench.bench.checkpoint import base_files, reader, sources, state_dict, update
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.bench.pipeline.record_cache import StageFailed
from slashbench.bench.pipeline.stages import Measured, Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.bench.store.store import Store
from slashbench.errors import CorruptFile, OtherBase, UsageError
from tests.helpers.command import bench
from tests.helpers.fine_tuned import USED, FineTuned
from tests.helpers.quiet import Quiet


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    monkeypatch.setattr(MODELS, "_loaded", dict(MODELS._loaded))
    MODELS.register("fine-tuned")(FineTuned)


def run(folder: Path, *recipes: str) -> list[Measured]:
    stages = Stages(Store(folder), "missing", Quiet())
    found = []
    for recipe in recipes:
        request = Request(models="fine-tuned", recipes=recipe, codecs="rans", seeds="0")
        found += [stages.measure(cell, "test") for cell in matrix.plan(request).cells]
    return found


def file_of(folder: Path, measured: Measured) -> Path:
    path = Store(folder).find_artifact(measured.compress.artifact_sha256)
    assert path is not None
    return path


def base_arrays() -> dict[str, Any]:
    return state_dict.to_numpy(FineTuned().base())


def base_in(folder: Path, **new: torch.Tensor) -> Base:
    """Write the base to a file, with some tensors changed, and open it."""
    path = folder / f"base{len(new)}.safetensors"
    save_file({**FineTuned().base(), **{n.replace("_", "."): w for n, w in new.items()}}, path)
    return base_files.opened(path)


def made_of(folder: Path, measured: Measured) -> dict[str, Any]:
    """Return the weights that a file and the base make."""
    return update.whole(reader.opened(file_of(folder, measured)), base_in(folder))


def changed(folder: Path, measured: Measured) -> float:
    """Return the share of the base's weights that an update changes."""
    base, made = base_arrays(), made_of(folder, measured)
    return sum(int((made[n] != w).sum()) for n, w in base.items()) / sum(
        w.size for w in base.values()
    )


def zeros_of_stacks(folder: Path, measured: Measured) -> float:
    """Return the share of zeros among the values that an update stacks."""
    tensors = update.decoded(reader.opened(file_of(folder, measured))).items()
    stacks = [stack for name, stack in tensors if name.startswith("@") and stack.dtype != np.uint8]
    return sum(int((stack == 0).sum()) for stack in stacks) / sum(stack.size for stack in stacks)


LOSSY = [
    "plain+delta+quantize:step=2^-9:scope=all",
    "plain+delta+rdoq:lam=0.1:step=2^-8:scope=all",
    "plain+delta+gptq-loss:step=2^-6:lam=0.1:batches=2:scope=all",
    "plain+delta+gptq:step=2^-8:batches=2",
    "plain+delta+sign:granularity=tensor",
    "plain+delta+prune:sparsity=0.5+sign:granularity=channel",
    "plain+delta+dare:sparsity=0.5+quantize:step=2^-9",
    "plain+delta+stack+rdoq:lam=0.1:step=0.1",
    "plain+delta+factors:rank=2+stack+quantize:step=0.1",
]


@pytest.mark.usefixtures("tuned")
def test_every_quantiser_of_a_difference_comes_near_the_trained_weights(tmp_path: Path) -> None:
    plain, *given = run(tmp_path, "plain+quantize:step=2^-12", *LOSSY)
    count = sum(p.numel() for p in FineTuned().build(0).parameters())
    for found in given:
        recipe = found.compress.recipe
        assert found.evaluate.value < plain.evaluate_float.value + 0.3, recipe
        assert found.checkpoint.n_parameters == count, recipe


@pytest.mark.usefixtures("tuned")
def test_a_file_names_its_base_and_takes_no_other(tmp_path: Path) -> None:
    (found,) = run(tmp_path, "plain+delta+stack+quantize:step=0.1")
    path = file_of(tmp_path, found)
    base = base_in(tmp_path)
    checkpoint = reader.opened(path)
    assert checkpoint.header.metadata[sources.BASE] == base.identity()
    assert update.weights_sha256(update.whole(checkpoint, base)) == found.compress.weights_sha256
    with pytest.raises(OtherBase, match="say where that base is"):
        update.whole(checkpoint, None)
    other = base_in(tmp_path, embed_weight=torch.ones(40, 16))
    with pytest.raises(OtherBase, match="was made for"):
        update.whole(checkpoint, other)
    with pytest.raises(CorruptFile, match="say where that base is"):
        decode_in_fresh_process(path)


@pytest.mark.usefixtures("tuned")
def test_a_user_applies_an_update_to_the_base(tmp_path: Path) -> None:
    (found,) = run(tmp_path, "plain+delta+stack+quantize:step=0.1")
    path, base = file_of(tmp_path, found), tmp_path / "base.safetensors"
    save_file(FineTuned().base(), base)
    made = slashbench.load_file(path, base=base)
    assert update.weights_sha256(state_dict.to_numpy(made)) == found.compress.weights_sha256
    out = tmp_path / "new.safetensors"
    done = bench("decompress", path, "--base", base, "-o", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = load_file(out)
    assert written.keys() == made.keys()
    assert all(torch.equal(written[name], made[name]) for name in made)
    with pytest.raises(OtherBase):
        slashbench.load_file(path)
    with pytest.raises(OtherBase, match="no weights, but differences"):
        dict(slashbench.iterate_tensors(path))
    with pytest.raises(OtherBase, match="decompress --base"):
        matrix.plan(Request(models=str(path)))
    (folder := tmp_path / "folder").mkdir()
    (folder / "update.safetensors").write_bytes(path.read_bytes())
    slashbench.save_file({"other": torch.ones(3)}, folder / "other.safetensors")
    with pytest.raises(UsageError, match="name the file of the update"):
        slashbench.load_file(folder, base=base)


@pytest.mark.usefixtures("tuned")
def test_a_model_without_a_base_says_so(tmp_path: Path) -> None:
    request = Request(models="digits-mlp:steps=2", recipes="plain+delta+quantize", codecs="rans")
    (cell,) = matrix.plan(request).cells[:1]
    with pytest.raises(StageFailed, match="no public base"):
        Stages(Store(tmp_path), "missing", Quiet()).measure(cell, "test")


@pytest.mark.usefixtures("tuned")
def test_an_integer_has_to_be_worth_its_bits(tmp_path: Path) -> None:
    recipe = "delta-q:lam={}:step=0.1:rate=0.2+delta+stack+quantize:step=0.1"
    free, priced, dear = run(tmp_path, *[recipe.format(lam) for lam in ("0", "0.01", "1000")])
    shares = [changed(tmp_path, each) for each in (free, priced, dear)]
    assert shares[0] > shares[1] > shares[2] == 0.0
    sizes = [each.compress.file_bytes for each in (free, priced, dear)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.usefixtures("tuned")
def test_embedding_rows_that_no_text_shows_do_not_change(tmp_path: Path) -> None:
    for record in run(
        tmp_path,
        "delta-q:lam=0.001:step=0.1:rate=0.2+delta+stack+quantize:step=0.1",
        "plain+delta+quantize:step=2^-9",
    ):
        base, made = base_arrays(), made_of(tmp_path, record)["embed.weight"]
        assert np.array_equal(made[USED:], base["embed.weight"][USED:])
        assert not np.array_equal(made[:USED], base["embed.weight"][:USED])


@pytest.mark.usefixtures("tuned")
def test_the_integers_of_training_are_those_of_the_file(tmp_path: Path) -> None:
    """Rounding anew, in the units of the file, changes nothing."""
    (found,) = run(tmp_path, "delta-q:lam=0.01:step=0.1:rate=0.2+delta+stack+quantize:step=0.1")
    np.testing.assert_allclose(found.evaluate.per_item, found.evaluate_float.per_item, atol=1e-4)


@pytest.mark.usefixtures("tuned")
def test_rivals_train_what_they_say(tmp_path: Path) -> None:
    lora, bitfit, gated = run(
        tmp_path,
        "lora:rank=2:peak=2+delta+factors:rank=2+stack+quantize:step=2^-8",
        "bitfit:peak=2+delta+stack+quantize:step=2^-8",
        "diff-pruning:price=1:peak=2+delta+stack+quantize:step=2^-8",
    )
    assert 0.01 < changed(tmp_path, gated) < 0.5
    base = base_arrays()
    for record, ranks in ((lora, 2), (bitfit, 0)):
        made = made_of(tmp_path, record)
        assert np.array_equal(made["embed.weight"], base["embed.weight"])
        moved = made["body.0.weight"] - base["body.0.weight"]
        values = torch.linalg.svdvals(torch.from_numpy(moved))
        assert int((values > 1e-4).sum()) == ranks
        assert np.array_equal(made["body.1.weight"], base["body.1.weight"]) == (ranks > 0)


@pytest.mark.usefixtures("tuned")
def test_values_of_factors_have_to_be_worth_their_bits(tmp_path: Path) -> None:
    recipe = (
        "lora-q:lam={}:step=1:new=0.1:peak=2+delta+factors:rank=1+stack:new=0.1+quantize:step=1"
    )
    free, dear = run(tmp_path, *[recipe.format(lam) for lam in ("0", "30")])
    assert zeros_of_stacks(tmp_path, free) < zeros_of_stacks(tmp_path, dear)
    for record in (free, dear):  # what the loss saw in training is what the file makes
        seen, made = record.evaluate_float.per_item, record.evaluate.per_item
        np.testing.assert_allclose(made, seen, atol=0.02)
    moved = made_of(tmp_path, free)["body.0.weight"] - base_arrays()["body.0.weight"]
    assert int((torch.linalg.svdvals(torch.from_numpy(moved)) > 1e-4).sum()) == 1
