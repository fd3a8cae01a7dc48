"""The scale of a row whose weights lie on a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: A row in which even the smallest magnitude is a larger multiple of the scale is refused.
MULTIPLES = 64


def scale_of(row: npt.NDArray[np.float32]) -> np.float16:
    """Return the largest scale whose multiples the row consists of, NaN if there is none."""
    magnitudes = np.abs(row[row != 0])
    if not magnitudes.size:
        return np.float16(1)
    for multiple in range(1, MULTIPLES + 1):
        with np.errstate(over="ignore"):
            scale = np.float16(magnitudes.min() / multiple)
        if scale > 0 and np.isfinite(scale):
            integers = np.rint(row / np.float32(scale))
            if (integers * np.float32(scale) == row).all() and np.abs(integers).max() < 2**24:
                return scale
    return np.float16(np.nan)


def scales_of(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return the scale of each row; a row of zeros has the mean of the others'.

    None where a row is on no grid, or none has weights.
    """
    scales = np.array([scale_of(row) for row in rows], np.float32)
    used = rows.any(axis=1)
    if np.isnan(scales).any() or not used.any():
        return None
    scales[~used] = np.float16(np.exp(np.log(scales[used]).mean()))
    return scales
