"""Models and data sets whose files `bench fetch` brings; skipped where they are not here."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from slashbench.bench.data.asset_catalog import ASSETS
from slashbench.bench.data.splits import Part

PARTS: tuple[Part, ...] = ("train", "validation", "test")

#: Builds a model in a process of its own; prints the memory that took, and the weights' bytes.
MEASURE = """
import gc, sys, torch
from slashbench.bench.models.catalog import MODELS

def status(field):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])

model = MODELS.get(sys.argv[1])()
model.build(0)  # imports libraries, and converts the weights if nobody did yet
gc.collect()
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before = status("VmRSS")
module = model.build(0)
with torch.no_grad():
    total = sum(float(parameter.sum()) for parameter in module.parameters())
size = sum(p.numel() * p.element_size() for p in module.parameters())
print(status("VmHWM") - before, size)
"""


def needs(*names: str) -> None:
    for name in names:
        if ASSETS[name].missing():
            pytest.skip(f"bench fetch {name}")


@pytest.mark.slow
def test_fashion_mnist_has_no_image_in_two_parts() -> None:
    needs("fashion-mnist")
    from slashbench.bench.data.fashion_mnist import FashionMnist

    data = FashionMnist()
    images = [image.tobytes() for part in PARTS for image in data.images(part)[0]]
    assert len(images) == len(set(images)) > 69_000
    assert len(data.images("test")[1]) > 9_900


@pytest.mark.slow
def test_wordnet_has_no_gloss_in_two_parts() -> None:
    needs("wordnet")
    from slashbench.bench.data.wordnet import CLASSES, WordNet

    data = WordNet()
    glosses = [gloss for part in PARTS for gloss in data.glosses(part)[0]]
    assert len(glosses) == len(set(glosses)) > 116_000
    assert set(data.glosses("test")[1]) == set(range(CLASSES))


@pytest.mark.slow
@torch.no_grad()
def test_whisper_writes_what_is_said() -> None:
    needs("whisper-base", "asterisk-prompts")
    from slashbench.bench.models import whisper_speech as speech

    model = speech.WhisperSpeech()
    chunk = model._chunks("test")[0]
    module = model.build(0).float()
    heard = speech._heard(module, chunk.mel[None])
    tokens = speech._transcribed(module, heard, 2 * len(chunk.tokens))
    wanted, said = model._words(chunk.text), model._words(model._tokenizer.decode(tokens))
    assert speech.edits(wanted, said) < 0.2 * len(wanted)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["mpnet-kjv", "whisper-kjv"])
def test_loading_takes_little_more_memory_than_the_weights(name: str) -> None:
    needs("all-mpnet-base-v2", "whisper-base")
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, name], check=True, capture_output=True, text=True
    )
    taken, size = map(int, found.stdout.split())
    assert taken <= 1.2 * size
