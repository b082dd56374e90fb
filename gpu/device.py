"""Which device and number format to compute in on this machine."""

from __future__ import annotations

import os
from typing import Literal

import torch

DeviceChoice = Literal["auto", "cpu", "cuda"]
DtypeChoice = Literal["auto", "bf16", "fp16", "fp32"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_MAX_FINISHING = 4


class DeviceError(Exception):
    """The device that was asked for is not there; the message says what to do."""


def choose_device(choice: DeviceChoice) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        raise DeviceError(
            "expected a CUDA device, found none: check the driver and that torch was installed "
            "with CUDA, or use --device cpu"
        )
    return torch.device("cuda" if has_cuda and choice != "cpu" else "cpu")


def choose_dtype(choice: DtypeChoice, device: torch.device) -> torch.dtype:
    """bf16 where the device multiplies matrices in it (AMX tiles, a GPU since Ampere)."""
    if choice != "auto":
        return _DTYPES[choice]
    if device.type == "cuda":
        # What is emulated works too, but many times slower than fp16.
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float16
    return torch.bfloat16 if has_amx_bf16() else torch.float32


def has_amx_bf16() -> bool:
    """Whether this CPU has AMX tiles with bf16 and the kernel lets this process use them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return False
    # torch asks the kernel for permission to use the tiles; a sandbox may refuse it.
    return "amx_bf16" in flags and bool(torch.cpu._is_amx_tile_supported())


def dtype_name(dtype: torch.dtype) -> str:
    return next(name for name, known in _DTYPES.items() if known == dtype)


def num_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_finishing(device: torch.device) -> int:
    """Threads that finish pictures: beside a GPU several pack theirs while it decodes the next;
    on a CPU they would only take each other's turn."""
    return min(_MAX_FINISHING, num_cpus()) if device.type == "cuda" else 1


def model_memory_bytes(device: torch.device) -> int:
    """What loaded models may take: most of a GPU's memory, or half of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory * 0.8)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
