"""Fashion-MNIST: grey images of clothes, 28 x 28 pixels, in ten classes."""

from __future__ import annotations

import gzip
import zlib
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.bench.data.asset_catalog import FASHION_MNIST
from slashbench.bench.data.base import Dataset
from slashbench.bench.data.splits import Part, part_of
from slashbench.digest import sha256_of
from slashbench.errors import CorruptFile

SIDE, CLASSES = 28, 10

Images = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


class FashionMnist(Dataset):
    """70,000 images in the authors' split, each once; a tenth of the training part validates."""

    source: ClassVar[str] = "Fashion-MNIST (dataset-fashion-mnist)"
    licence: ClassVar[str] = FASHION_MNIST.licence

    def images(self, part: Part) -> Images:
        """Return images (n, 1, 28, 28) in [0, 1] and labels (n,)."""
        pixels, labels = self._parts[part]
        scaled = pixels.astype(np.float32) / 255.0
        return scaled.reshape(-1, 1, SIDE, SIDE), labels

    @cached_property
    def _parts(self) -> dict[Part, tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        """Pixels and labels; of equal images the first counts, and none is in two parts."""
        rows: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
        pixels, labels = (
            np.concatenate([_read(f"{name}-{kind}-ubyte.gz", skip) for name in ("train", "t10k")])
            for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
        )
        pixels = pixels.reshape(-1, SIDE * SIDE)
        if len(pixels) != len(labels) or labels.max(initial=0) >= CLASSES:
            raise CorruptFile("Fashion-MNIST has images without labels, or other labels")
        seen: set[bytes] = set()
        for i, image in enumerate(pixels):
            content = image.tobytes()
            if content not in seen:
                seen.add(content)
                rows["test" if i >= 60_000 else part_of(content, test=0)].append(i)
        return {
            part: (pixels[chosen], labels[chosen].astype(np.int64)) for part, chosen in rows.items()
        }

    def sha256(self) -> str:
        """Hash of the hashes of the four files, each of which is pinned."""
        return sha256_of(sorted(FASHION_MNIST.sha256.items()))


def _read(file: str, skip: int) -> npt.NDArray[np.uint8]:
    try:
        data = gzip.decompress(FASHION_MNIST.path(file).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"{file} is damaged: {error}") from error
    return np.frombuffer(data, np.uint8, offset=skip)
