"""Whose attention a denoiser computes with: torch's own, or xformers'. Knows no family."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from gpu.models.family import LoadOptions, Report

_BECAUSE = "is not supported because:"


def use_xformers(denoiser: Any, options: LoadOptions, report: Report) -> None:
    """Switch to xformers' attention, or say in one line why it can't be used."""
    try:
        if options.device.type != "cuda":
            raise ValueError("it needs a CUDA device")
        _try_out(options)
        switch_to_xformers(denoiser)
    except (ImportError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        report(f"xformers attention can't be used here ({reason}); using torch's SDPA")


def _try_out(options: LoadOptions) -> None:
    """Attend once, in the model's own number format: xformers has other kernels for others, and
    says only then whether it has one. Raises ValueError with the reason."""
    from xformers.ops import memory_efficient_attention

    some = torch.randn(1, 8, 1, 40, device=options.device, dtype=options.dtype)
    try:
        memory_efficient_attention(some, some, some)
    except NotImplementedError as error:
        raise ValueError(_unloaded() or reason_in(str(error))) from error


def switch_to_xformers(denoiser: Any) -> None:
    """What diffusers' own method does, less its trial, which is in fp32, and less what it does to
    Z-Image, whose attention it takes for another."""
    from diffusers.models import attention_processor as known
    from diffusers.models.attention_dispatch import (
        AttentionBackendName,
        _check_attention_backend_requirements,
    )

    for module in denoiser.modules():
        processor: Any = getattr(module, "processor", None)
        if hasattr(processor, "_attention_backend"):
            _check_attention_backend_requirements(AttentionBackendName.XFORMERS)
            processor._attention_backend = AttentionBackendName.XFORMERS
        elif isinstance(processor, known.JointAttnProcessor2_0):
            module.set_processor(known.XFormersJointAttnProcessor())
        elif isinstance(processor, known.AttnProcessor2_0):
            module.set_processor(known.XFormersAttnProcessor())


def _unloaded() -> str:
    """Why xformers couldn't load its own library, if that is so: it then says of each kernel no
    more than that it isn't there."""
    problem = getattr(sys.modules.get("xformers._cpp_lib"), "_cpp_library_load_exception", None)
    return " ".join(line.strip() for line in str(problem or "").splitlines()[:2])


def reason_in(message: str) -> str:
    """The reasons in what xformers says where it has no kernel: those that all kernels share, or
    else those of the last, which takes the most. Of any other message its first line."""
    _, *kernels = message.split(_BECAUSE)
    if not kernels:
        return message.strip().split("\n")[0]
    reasons = [_indented(part) for part in kernels]
    shared = [each for each in reasons[-1] if all(each in others for others in reasons)]
    return "; ".join((shared or reasons[-1])[:2])


def _indented(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]
