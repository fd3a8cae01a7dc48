"""numcodecs codecs by name: settings, refusals, and a run with one."""

import ml_dtypes
import numpy as np
import pytest

from slashbench import selector
from slashbench.bench.pipeline import artifact
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Quantized
from slashbench.errors import BadSetting, CorruptStream, Unencodable, UnknownName
from slashbench.grid import TensorScale
from slashbench.link import links
from tests.helpers.tensor_samples import compressed_as


def made(text):
    (link,) = links(CODECS, selector.parse(text))
    return link


@pytest.mark.parametrize(
    "text",
    ["numcodecs.zlib:level=9", "numcodecs.blosc:cname=zstd:shuffle=2", "numcodecs.lzma:preset=1"],
)
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32, ml_dtypes.bfloat16])
def test_tensors_come_back(text, dtype):
    link = made(text)
    assert link.text == text
    tensor = np.random.default_rng(0).normal(0, 9, (50, 30)).astype(dtype)
    stream = link.item.encode(tensor)
    decoded = link.item.decode(stream)
    assert (decoded.dtype, decoded.shape) == (tensor.dtype, tensor.shape)
    assert decoded.tobytes() == tensor.tobytes()
    with pytest.raises(CorruptStream):
        link.item.decode(stream[:-1])


def test_settings_are_those_of_the_constructor():
    assert len(made("numcodecs.zlib:level=9").item.encode(np.zeros(9999, np.int8))) < 60
    assert made("numcodecs.zlib").config["settings"] == {"level": 1}
    assert made("numcodecs.zlib:level=1").text == "numcodecs.zlib"
    with pytest.raises(BadSetting, match="it has level"):
        made("numcodecs.zlib:lvl=9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numcodecs.nothing", "numcodecs has no codec 'nothing'"),
        ("numcodecs.pickle", "no codec of numbers"),
        ("numcodecs.slashbench.rans", "no codec of numbers"),
        ("numcodecs.delta", "can't be used here"),
    ],
)
def test_what_is_no_codec_of_numbers_is_refused(text, said):
    with pytest.raises(UnknownName, match=said):
        made(text)


def test_what_the_codec_does_not_take_is_an_error_of_ours():
    with pytest.raises(Unencodable, match="InvalidArgument"):
        made("numcodecs.pcodec").item.encode(np.zeros(9, np.int8))


def test_a_compressed_checkpoint_names_its_codec(tmp_path):
    link = made("numcodecs.bz2:level=9")
    values = np.arange(-500, 500, dtype=np.int32).reshape(20, 50)
    packed = compressed_as({"w": Quantized(values, TensorScale(0.5))}, {}, link)
    path = tmp_path / "w.safetensors"
    path.write_bytes(packed)
    assert np.array_equal(artifact.read(path)["w"], values * np.float32(0.5))
