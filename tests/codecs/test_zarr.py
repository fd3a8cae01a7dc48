"""Zarr arrays written with our codecs, found by their numcodecs entry points."""

from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from slashbench.codecs.rans_classes import RansClasses


@pytest.mark.parametrize("name", ["rans", "huffman", "exp-golomb", "rans-classes", "float-rans"])
def test_a_zarr_array_reads_back(name: str, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(0, 3, (300, 200)).round()
    array = numbers.astype(np.float32 if name.startswith("float") else np.int16)
    written = zarr.create_array(
        store=str(tmp_path / "w.zarr"),
        shape=array.shape,
        chunks=(64, 200),
        dtype=array.dtype,
        zarr_format=2,
        compressors=numcodecs.get_codec({"id": f"slashbench.{name}"}),
    )
    written[:] = array
    read = zarr.open_array(str(tmp_path / "w.zarr"), mode="r")
    assert np.array_equal(read[:], array)
    assert np.array_equal(read[70:90, 3], array[70:90, 3])
    assert read.nbytes_stored() < array.nbytes


def test_an_array_written_under_an_old_name_is_read() -> None:
    old = numcodecs.get_codec({"id": "slashbench.max", "bits": 12})
    array = np.random.default_rng(0).normal(0, 3, (300, 200)).round().astype(np.int16)
    assert np.array_equal(old.decode(RansClasses(bits=12).encode(array)), array)
    assert old.get_config() == {"id": "slashbench.rans-classes", "bits": 12}
