"""Compressed folders for `from_pretrained` of transformers: a registered kind of quantization.

transformers opens the files of a folder and asks a quantizer how to make parameters of what is in
them. This one hands it a file with the names of all tensors and no bytes; each tensor is decoded
when its parameter is made, so that no more than one is in memory twice. Nothing is patched.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
import torch
from transformers.core_model_loading import ConversionOps, WeightConverter
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from slashbench.bench.formats.weight_files import WeightFiles
from slashbench.errors import UsageError

METHOD = "slashbench"

_ANY_NAME, _ITSELF = r"^(.+)$", r"\1"


@register_quantization_config(METHOD)
class CompressedConfig(QuantizationConfigMixin):
    """Load a folder of compressed weights with `from_pretrained`.

    Parameters
    ----------
    max_bytes : int, optional
        Most bytes that a file may decode to. Default: 1 GiB or 1000 times its size.
    trusted : bool
        Also decode with codecs that a forged file may crash.

    Examples
    --------
    >>> from transformers import AutoModelForCausalLM  # doctest: +SKIP
    >>> from slashbench import CompressedConfig
    >>> model = AutoModelForCausalLM.from_pretrained(
    ...     "small/", quantization_config=CompressedConfig()
    ... )  # doctest: +SKIP
    """

    def __init__(self, max_bytes: int | None = None, trusted: bool = False, **_: Any) -> None:
        self.quant_method = cast(Any, METHOD)
        self.dequantize = True  # what comes out is an ordinary model
        self.max_bytes, self.trusted = max_bytes, trusted


@register_quantizer(METHOD)
class CompressedQuantizer(HfQuantizer):
    """Makes parameters of compressed tensors. The model that comes out is an ordinary one."""

    quantization_config: CompressedConfig
    requires_calibration = False

    def __init__(self, quantization_config: CompressedConfig, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self.pre_quantized = True  # so that `get_new_dtype` is asked
        self._weights: _Shared | None = None
        self._stub: tempfile.TemporaryDirectory[str] | None = None

    def update_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return the dtype that was asked for, or that the configuration names; else float32.

        Where it names none, transformers looks at the bytes of a file.
        """
        return dtype if dtype.is_floating_point else torch.float32

    def update_device_map(self, device_map: Any) -> Any:
        """Refuse to leave weights on disk: they are compressed there."""
        places = device_map.values() if isinstance(device_map, dict) else [device_map]
        if "disk" in map(str, places):
            raise UsageError("compressed weights can't stay on disk; `bench decompress` the folder")
        return device_map

    def _process_model_before_weight_loading(
        self, model: Any, checkpoint_files: list[str] | None = None, **_: Any
    ) -> Any:
        """Open the files, and put one in their place that has the names alone."""
        if not checkpoint_files:
            raise UsageError("CompressedConfig is for a folder of weights; there are none")
        config = self.quantization_config
        files = [Path(file) for file in checkpoint_files]
        weights = [WeightFiles(file, config.max_bytes, config.trusted) for file in files]
        for each in weights:
            each.check_whole()
        self._weights = _Shared({name: each[name] for each in weights for name in each})
        self._stub = tempfile.TemporaryDirectory(prefix="slashbench-")
        stub = Path(self._stub.name) / "names.safetensors"
        nothing = np.empty(0, np.float32)  # of NumPy: new tensors are on meta here
        safetensors.numpy.save_file(dict.fromkeys(self._weights.tensors, nothing), stub)
        checkpoint_files[:] = [str(stub)]
        return model

    def get_new_dtype(self, converter: Any, param: Any, dtype: Any) -> None:
        """Tell the converter which dtype its next tensor is to have."""
        if isinstance(converter, _Decoding):
            converter.wanted = dtype

    def update_weight_conversions(self, weight_conversions: list[Any], model: Any) -> list[Any]:
        """Return the model's own conversions, decoding first, and one for all other names."""
        assert self._weights is not None
        found = []
        for each in weight_conversions:
            if isinstance(each, WeightConverter):
                sources, targets = each._original_source_patterns, each._original_target_patterns
                made = _Decoding(
                    list(sources), list(targets), list(each.operations), force_cpu=True
                )
                made.scope_prefix, made.base_model_prefix = (
                    each.scope_prefix,
                    each.base_model_prefix,
                )
                made.weights = self._weights
                found.append(made)
            else:
                found.append(each)
        rest = _DecodingAlone([_ANY_NAME], [_ITSELF], [_Nothing()], force_cpu=True)
        rest.weights = self._weights
        return [*found, rest]

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> Any:
        """Close the files; the base class has left a model that knows nothing of this."""
        if self._stub is not None:
            self._stub.cleanup()
        self._weights = None
        return model

    def is_serializable(self, safe_serialization: Any = None) -> bool:
        """Return whether the model can be saved: it is an ordinary one."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Whether the model can be trained: it is an ordinary one."""
        return True


class _Shared:
    """The tensors of the files; a copy of a converter, of which many are made, has the same."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors

    def __deepcopy__(self, _: Any) -> _Shared:
        return self


class _Nothing(ConversionOps):
    """The operation of a converter that has none."""

    def convert(self, input_dict: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Return what is given."""
        return input_dict

    @property
    def reverse_op(self) -> _Nothing:
        """The same."""
        return self


class _Decoding(WeightConverter):
    """A conversion that decodes a tensor of the files when it is needed."""

    __slots__ = ("wanted", "weights")

    weights: _Shared
    wanted: torch.dtype | None

    def add_tensor(
        self, target_key: str, source_key: str, source_pattern: str, future: Any
    ) -> None:
        """Take what the files have under this name, not the empty tensor of the stub."""
        lazy, wanted = self.weights.tensors[source_key], self.wanted

        def decoded() -> torch.Tensor:
            tensor: torch.Tensor = lazy.whole()
            return (
                tensor.to(wanted) if wanted is not None and tensor.is_floating_point() else tensor
            )

        super().add_tensor(target_key, source_key, source_pattern, cast(Any, decoded))


class _DecodingAlone(_Decoding):
    """The conversion of a name that no other has: one tensor, as it is."""

    __slots__ = ()

    def convert(
        self,
        layer_name: str,
        model: Any = None,
        config: Any = None,
        hf_quantizer: Any = None,
        loading_info: Any = None,
    ) -> dict[str, Any]:
        """Return the parameter."""
        (found,) = self.materialize_tensors().values()
        return {layer_name: found[0]}
