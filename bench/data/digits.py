"""Handwritten digits, 8 x 8 pixels: the UCI set that scikit-learn ships."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.bench.data.base import Dataset, file_sha256, package_folder

Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


class Digits(Dataset):
    """1,797 images of 10 digits, split at random once: 1,200 train, 200 validation, 397 test."""

    source: ClassVar[str] = "UCI optical recognition of handwritten digits, as in scikit-learn"
    licence: ClassVar[str] = "CC-BY-4.0 (UCI), BSD-3-Clause package"

    @cached_property
    def _all(self) -> Part:
        from sklearn.datasets import load_digits  # seconds to import: only when data are needed

        pixels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(1998).permutation(len(labels))
        images = (pixels[order] / 16.0).astype(np.float32)  # (1797, 64) in [0, 1]
        return images, labels[order].astype(np.int64)

    def part(self, name: str) -> Part:
        """Images, shape (n, 64), and labels, shape (n,), of train, validation or test."""
        cut = {"train": slice(0, 1200), "validation": slice(1200, 1400), "test": slice(1400, None)}
        images, labels = self._all
        return images[cut[name]], labels[cut[name]]

    def sha256(self) -> str:
        """Hash of the file in the package."""
        return file_sha256(package_folder("sklearn") / "datasets" / "data" / "digits.csv.gz")
