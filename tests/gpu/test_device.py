"""What is computed on, and in which numbers."""

from __future__ import annotations

import pytest
import torch

from gpu import device
from gpu.device import DeviceError, choose_device, choose_dtype
from gpu.errors import is_out_of_memory

CPU = torch.device("cpu")


def test_p6_bf16_on_a_cpu_only_where_it_has_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_amx_bf16", lambda: True)
    assert choose_dtype("auto", CPU) == torch.bfloat16
    monkeypatch.setattr(device, "has_amx_bf16", lambda: False)
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16


def test_p6_a_gpu_that_only_emulates_bf16_computes_in_fp16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)

    assert choose_dtype("auto", torch.device("cuda")) == torch.float16


def test_p6_cuda_that_is_not_there_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert choose_device("auto") == CPU
    with pytest.raises(DeviceError, match="use --device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("error", ["CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"])
def test_g7_a_library_of_cuda_s_that_finds_no_memory_is_out_of_memory(error: str) -> None:
    assert is_out_of_memory(RuntimeError(f"CUDA error: {error} when calling `create(handle)`"))
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
