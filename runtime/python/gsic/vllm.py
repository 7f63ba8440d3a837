"""
gsic as a quantisation method of vLLM, by its interface for plug-ins: `LLM(model, quantization="gsic")`, with the
folder of the build in the environment variable GSIC_BUILD, or in the model's config.json as
{"quantization_config": {"quant_method": "gsic", "build": "...", "mode": "bounded"}}. One GPU, or the CPU.
"""

import os


def register() -> None:
    """The entry point of the group vllm.general_plugins; vLLM calls it in every process, perhaps more than once."""
    import torch
    from vllm.model_executor.layers.linear import LinearBase, LinearMethodBase, UnquantizedLinearMethod
    from vllm.model_executor.layers.quantization import (
        QUANTIZATION_METHODS,
        register_quantization_config,
    )
    from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
    from vllm.model_executor.utils import set_weight_attrs

    from . import operators
    from .library import Linears, Model
    from .matching import by_tensor, find, join

    if "gsic" in QUANTIZATION_METHODS:
        return

    class GsicLinearMethod(LinearMethodBase):
        """One linear of vLLM's model, perhaps of several of the checkpoint, as columns of a call of gsic's."""

        def __init__(self, config, match):
            self.config, self.match = config, match

        def create_weights(
            self, layer, input_size_per_partition, output_partition_sizes, input_size, output_size, params_dtype, **attributes
        ):
            if (sum(output_partition_sizes), input_size_per_partition) != (self.match.out, self.match.d):
                raise ValueError("gsic: a layer of another shape than the build's; run without tensor parallelism")
            if self.match.has_bias and layer.skip_bias_add:
                raise ValueError("gsic: the model adds this layer's bias itself, and so does the build")
            # The checkpoint's weight has a place, which takes no memory.
            weight = torch.nn.Parameter(torch.empty(0, dtype=params_dtype), requires_grad=False)
            set_weight_attrs(weight, {"weight_loader": lambda parameter, loaded, *shard: None})
            layer.register_parameter("weight", weight)

        def apply(self, layer, x, bias=None):
            # The build's linear has added the bias.
            match = self.match
            y = torch.ops.gsic.linear(
                x, self.config.runner, match.call, match.column, match.out, match.width, 1
            )
            return y if bias is None or match.has_bias else y + bias

    @register_quantization_config("gsic")
    class GsicConfig(QuantizationConfig):
        """Which build, and in which mode."""

        def __init__(self, build=None, mode=None):
            super().__init__()
            build = build or os.environ.get("GSIC_BUILD")
            if not build:
                raise ValueError("gsic: name the folder of a build in the environment variable GSIC_BUILD")
            linears = Linears(Model(build), mode)
            self.tensors = by_tensor(linears.all)
            self.runner = operators.register(linears)

        def get_name(self):
            return "gsic"

        def get_supported_act_dtypes(self):
            return [torch.bfloat16, torch.float16, torch.float32]

        @classmethod
        def get_min_capability(cls):
            return 0

        @staticmethod
        def get_config_filenames():
            return []

        @classmethod
        def from_config(cls, config):
            return cls(config.get("build"), config.get("mode"))

        def get_quant_method(self, layer, prefix):
            if not isinstance(layer, LinearBase):
                return None
            match = self._match(prefix)
            return UnquantizedLinearMethod() if match is None else GsicLinearMethod(self, match)

        def _match(self, prefix):
            """The columns of a layer: its own tensor's, or those of the tensors that vLLM fuses in it."""
            path, _, leaf = prefix.rpartition(".")
            own = find(self.tensors, [f"{prefix}.weight"], "")
            if own is not None:
                return join(own)
            names = [f"{path}.{one}.weight" for one in self.packed_modules_mapping.get(leaf, [])]
            parts = [find(self.tensors, [name], "") for name in names]
            if not parts or any(part is None for part in parts):
                return None
            return join([linear for part in parts for linear in part])
