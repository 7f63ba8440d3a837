"""
gsic as a quantisation method of vLLM, by its interface for plug-ins: `LLM(model, quantization="gsic")`, with the
folder of the build in the environment variable GSIC_BUILD, or in the model's config.json as
{"quantization_config": {"quant_method": "gsic", "build": "...", "mode": "bounded"}}. One GPU, or the CPU.
"""

import os
from functools import cache

import torch
from vllm.logger import init_logger
from vllm.model_executor.layers.linear import LinearBase, LinearMethodBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, register_quantization_config
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
from vllm.model_executor.utils import set_weight_attrs

from . import operators
from .linears import Linear, Linears
from .matching import Match, by_tensor, find, join
from .model import Model

_logger = init_logger(__name__)


def register() -> None:
    """The entry point of the group vllm.general_plugins; vLLM calls it in every process, perhaps more than once."""
    if "gsic" not in QUANTIZATION_METHODS:
        register_quantization_config("gsic")(GsicConfig)


@cache
def _opened(build: str, mode: str | None) -> tuple[dict[str, list[Linear]], int]:
    """The linears of a build by their tensors, and the operator's number for them; once in a process, to its end."""
    device = torch.cuda.current_device() if torch.cuda.is_available() else 0
    linears = Linears(Model(build, mode, device=device))
    return by_tensor(linears.all), operators.register(linears)


class GsicConfig(QuantizationConfig):
    """
    Which build, and in which mode (None: the build's default). vLLM makes it in one process and sends it to the
    processes that compute: it holds names alone, and each process opens the build itself.
    """

    def __init__(self, build: str | None = None, mode: str | None = None):
        super().__init__()
        self.build = build or os.environ.get("GSIC_BUILD")
        self.mode = mode
        if not self.build:
            raise ValueError("gsic: name the folder of a build in the environment variable GSIC_BUILD")

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
        """None for what is no linear, which vLLM computes as ever; so it does linears that the build lacks."""
        if not isinstance(layer, LinearBase):
            return None
        tensors, runner = _opened(self.build, self.mode)
        match = self._match(tensors, prefix)
        if match is None:
            _logger.warning("gsic: the build has no linear for %s, which vLLM computes", prefix)
            return UnquantizedLinearMethod()
        return GsicLinearMethod(match, runner)

    def _match(self, tensors: dict[str, list[Linear]], prefix: str) -> Match | None:
        """The columns of a layer: its own tensor's, or those of the tensors that vLLM fuses in it."""
        path, _, leaf = prefix.rpartition(".")
        base = prefix.partition(".")[0]
        own = find(tensors, [f"{prefix}.weight"], base)
        if own is not None:
            return join(own)
        fused = self.packed_modules_mapping.get(leaf, [])
        parts = [find(tensors, [f"{path}.{one}.weight"], base) for one in fused]
        known = [part for part in parts if part is not None]
        if len(known) < max(1, len(fused)):
            return None
        return join([linear for part in known for linear in part])


class GsicLinearMethod(LinearMethodBase):
    """One linear of vLLM's model, perhaps of several of the checkpoint, as columns of a call of gsic's."""

    def __init__(self, match: Match, runner: int):
        self.match, self.runner = match, runner

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
        match = self.match
        y = operators.linear(x, self.runner, match.call, match.column, match.out, 1)
        # The build's linear has added its bias.
        return y if bias is None or match.has_bias else y + bias
