"""A CUDA device as torch and Numba both see it, and Numba's simulator of one.

Memory is torch's, and so is the stream that kernels run on: what torch frees or copies is in order
with them. Under NUMBA_ENABLE_CUDASIM=1 the device is torch's `cpu`, and kernels run in Python.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch

from slashbench.arrays import Array, Bytes
from slashbench.errors import MissingDependency, UsageError

# Numba is typed in part.
_CONFIG: Any = numba.config

#: Whether Numba's simulator stands in for the device.
SIMULATED = bool(_CONFIG.ENABLE_CUDASIM)

_INSTALL = "pip install 'slashbench[cuda]'"
_SPARE = 8  # bytes of zeros behind a stream: a load may reach into the word after its last one
_THREADS, _MOST_BLOCKS = (2, 1) if SIMULATED else (256, 1 << 16)  # of a loop over values
_WARP = 32


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """The bytes of a stream on the device: one by one, and as words of four."""

    single: Any
    words: Any


class Gpu:
    """One device. Raises UsageError where there is none, MissingDependency without Numba's part."""

    def __init__(self, device: str | torch.device) -> None:
        try:
            wanted = torch.device(device)
        except RuntimeError as error:
            raise UsageError(f"{device!r} is no device: cuda or cuda:1, say") from error
        self._cuda: Any = _numba_cuda()
        self._index = 0
        if SIMULATED:
            wanted = torch.device("cpu")
        elif wanted.type != "cuda":
            raise UsageError(
                f"these decoders run on a CUDA device, not on {wanted}: the codecs themselves "
                "decode on the CPU"
            )
        elif not torch.cuda.is_available():
            raise UsageError(
                "torch finds no CUDA device; install a CUDA build of torch and check nvidia-smi"
            )
        elif not self._cuda.is_available():
            raise MissingDependency(
                f"Numba finds no CUDA driver or compiler: {_INSTALL} ({self._cuda.cuda_error()})"
            )
        else:
            self._index = torch.cuda.current_device() if wanted.index is None else wanted.index
            if self._index >= torch.cuda.device_count():
                raise UsageError(
                    f"{device}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0 on"
                )
            wanted = torch.device("cuda", self._index)
        self.device = wanted

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device torch's and Numba's current one."""
        with contextlib.ExitStack() as stack:
            if not SIMULATED:
                stack.enter_context(torch.cuda.device(self._index))
                stack.enter_context(self._cuda.gpus[self._index])
            yield

    def upload(self, array: Array) -> Any:
        """Copy an array to the device; a kernel takes it as it is."""
        held = self.copied(array, array.nbytes)
        return self.seen(held.reshape(*array.shape[:-1], -1), array.dtype)

    def upload_stream(self, data: Bytes) -> DeviceBytes:
        """Copy the bytes of a stream to the device, with zeros behind them."""
        held = self.copied(data, (data.size + 7 & -8) + _SPARE)
        return DeviceBytes(self.seen(held, np.uint8), self.seen(held, np.uint32))

    def room(self, n_bytes: int) -> torch.Tensor:
        """Return so many bytes on the device, and up to a multiple of 8."""
        return torch.empty(n_bytes + 7 & -8, dtype=torch.uint8, device=self.device)

    def seen(self, tensor: torch.Tensor, dtype: npt.DTypeLike) -> Any:
        """Return a tensor of bytes as the array of that dtype that a kernel takes."""
        if SIMULATED:
            from numba.cuda.simulator.cudadrv import devicearray

            held: Any = devicearray
            return held.FakeCUDAArray(tensor.numpy().view(dtype))
        return self._cuda.as_cuda_array(tensor).view(dtype)

    def copied(self, array: Array, n_bytes: int) -> torch.Tensor:
        """Return the bytes of an array on the device, and zeros up to so many."""
        out = torch.zeros(n_bytes, dtype=torch.uint8, device=self.device)
        with warnings.catch_warnings():  # of arrays that are read-only: nothing writes to them
            warnings.simplefilter("ignore", UserWarning)
            out[: array.nbytes].copy_(torch.from_numpy(array.reshape(-1).view(np.uint8)))
        return out

    def each(self, kernel: Any, count: int, *arguments: Any) -> None:
        """Run a kernel that loops over `count` values, as many threads as pay."""
        blocks = min(-(-count // _THREADS), _MOST_BLOCKS)
        self.blocks(kernel, blocks, _THREADS, *arguments)

    def threads(self, kernel: Any, count: int, *arguments: Any) -> None:
        """Run a kernel in at least so many threads."""
        block = min(count, _WARP)
        self.blocks(kernel, -(-count // block), block, *arguments)

    def blocks(self, kernel: Any, blocks: int, size: int, *arguments: Any) -> None:
        """Run a kernel in so many blocks of `size` threads, on torch's current stream."""
        stream = 0
        if not SIMULATED:
            handle = torch.cuda.current_stream(self._index).cuda_stream
            stream = self._cuda.external_stream(handle) if handle else 0
        with warnings.catch_warnings():  # of few blocks: a tensor has as many chunks as it has
            warnings.simplefilter("ignore")
            configured = kernel[blocks, size, stream]
        configured(*arguments)


def _numba_cuda() -> Any:
    try:
        from numba import cuda
    except ImportError as error:
        raise MissingDependency(f"decoding on a GPU needs numba.cuda: {_INSTALL}") from error
    return cuda
