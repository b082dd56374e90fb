"""Weights in 8 or 4 bits: less memory, for some time and a picture that differs a little.

The linear layers' weights are kept in int8 with a scale for each output (Jacob et al. 2018), or
as 4-bit normal floats, 64 to a scale (Dettmers et al. 2023); each forward computes in the number
format that it would have without. Torchao does it, on a CPU and on CUDA. Convolutions stay as they
are: there is no such kernel for them. Knows no family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from gpu.models.family import LoadOptions, Report

_BLOCK = 64
_SCALES_BLOCKS = (256, 64, 16, 4, 1)
"""How many of the scales share one of their own: as many as divide their number."""


def quantise(modules: Iterable[nn.Module], options: LoadOptions, report: Report) -> None:
    """Put the weights of modules that are on their device into the format of `options.weights`,
    in place; or say in one line why that can't be."""
    if options.weights == "full":
        return
    try:
        import torchao.quantization  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        report(
            f"{options.weights} weights can't be used here ({reason}; pip install .[torchao]); "
            "using full ones"
        )
        return
    for module in modules:
        _quantise(module, options)


def _quantise(module: nn.Module, options: LoadOptions) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    if options.weights == "int8":
        # The settings that it would make are the whole process's, and compile's business.
        quantize_(module, Int8WeightOnlyConfig(set_inductor_config=False))
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.weight.numel() % _BLOCK == 0:
            layer.weight = nn.Parameter(_in_4_bits(layer.weight.detach()), requires_grad=False)


def _in_4_bits(weight: Tensor) -> Any:
    from torchao.quantization import to_nf4

    num_scales = weight.numel() // _BLOCK
    shared = next(number for number in _SCALES_BLOCKS if num_scales % number == 0)
    return to_nf4(weight.contiguous(), _BLOCK, shared)


def kept_bytes(tensor: Any) -> int:
    """What a tensor takes, whatever it is kept as."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(kept_bytes(getattr(tensor, name)) for name in names)
