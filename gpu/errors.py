"""What errors of torch and of models mean, and how people are told of them."""

from __future__ import annotations

import torch

_NO_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class ModelError(Exception):
    """The model can't be loaded; the message says what was expected and what to do."""


def is_fatal(error: Exception) -> bool:
    """A CUDA device that reported an error answers nothing any more: start the process anew."""
    return isinstance(error, torch.AcceleratorError) and not isinstance(
        error, torch.OutOfMemoryError
    )


def is_out_of_memory(error: Exception) -> bool:
    """On a CPU torch's allocator raises a plain RuntimeError, and so do CUDA's libraries."""
    by_name = isinstance(error, RuntimeError) and any(name in str(error) for name in _NO_MEMORY)
    return by_name or isinstance(error, torch.OutOfMemoryError | MemoryError)


def reason_of(error: Exception) -> str:
    if is_out_of_memory(error):
        return "the picture needs more memory than this machine has: make the frame smaller"
    if isinstance(error, ValueError):
        return str(error)
    return f"the model failed on this picture ({type(error).__name__}: {error}); try other settings"


def why_not_loaded(error: Exception) -> str:
    if isinstance(error, ModelError):
        return str(error)
    if is_out_of_memory(error):
        return "the model needs more memory than is free: choose a smaller one"
    return f"the model can't be loaded ({type(error).__name__}: {error}): choose another"
