"""The door to the decoders on a GPU; what they find is tried in Numba's simulator."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from slashbench.codecs import cuda
from slashbench.codecs.catalog import CODECS
from slashbench.errors import UnknownName, UsageError

ROOT = Path(__file__).parents[2]
STREAM = CODECS.get("huffman")().encode(np.arange(9, dtype=np.int8))


def in_the_simulator(which):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", which),
            *("-p", "no:xdist", "tests/codecs/cuda_simulated.py"),
        ],
        cwd=ROOT,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.thorough
def test_the_kernels_decode_what_the_cpu_does():
    in_the_simulator("not slow")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_kernels_decode_what_the_cpu_does_at_length():
    in_the_simulator("slow")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_says_so():
    with pytest.raises(UsageError, match="torch finds no CUDA device; install a CUDA build"):
        cuda.decode(STREAM, "huffman")


@pytest.mark.parametrize(
    ("device", "message"),
    [("cpu", "run on a CUDA device, not on cpu"), ("the big one", "'the big one' is no device")],
)
def test_another_device_is_refused(device, message):
    with pytest.raises(UsageError, match=message):
        cuda.decode(STREAM, "huffman", device=device)


def test_other_codecs_are_refused_by_name():
    with pytest.raises(UnknownName, match="'range' does not decode on a GPU; huffman, rans,"):
        cuda.decode(STREAM, "range")
