"""What CTranslate2, CUDA and the system say, and what it means."""

from __future__ import annotations

import pytest

from scrivano.domain.errors import EngineDevice, EngineError, EngineInput, EngineMemory, ModelUnavailable
from scrivano.engines.failures import classify, kind_of


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (RuntimeError("CUDA failed with error out of memory"), EngineMemory),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), EngineMemory),
        (RuntimeError("CUDA error: cudaErrorInvalidDevice"), EngineMemory),
        (RuntimeError("cudaErrorMemoryAllocation: out of memory"), EngineMemory),
        (RuntimeError("std::bad_alloc"), EngineMemory),
        (MemoryError(), EngineMemory),
        (OSError(12, "Cannot allocate memory"), EngineMemory),
        (RuntimeError("CUDA failed with error an illegal memory access was encountered"), EngineDevice),
        (RuntimeError("CUDA failed with error unspecified launch failure"), EngineDevice),
        (RuntimeError("CUDA failed with error no CUDA-capable device is detected"), EngineDevice),
        (RuntimeError("CUDA failed with error invalid device ordinal"), EngineDevice),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED"), EngineDevice),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_NOT_INITIALIZED"), EngineDevice),
        (RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"), ModelUnavailable),
        (RuntimeError("Library cublas64_12.dll is not found or cannot be loaded"), ModelUnavailable),
        (
            RuntimeError("CUDA failed with error CUDA driver version is insufficient for CUDA runtime version"),
            ModelUnavailable,
        ),
        (ValueError("This CTranslate2 package was not compiled with CUDA support"), ModelUnavailable),
    ],
)
@pytest.mark.parametrize("loading", [True, False])
def test_the_device_s_failures(error: Exception, meaning: type[EngineError], loading: bool) -> None:
    assert type(classify(error, loading=loading)) is meaning


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Unable to open file 'model.bin' in model '/models/x'"),
        RuntimeError(
            "Unsupported model binary version. This executable supports models with binary version v6 or below"
        ),
        ValueError("Requested float16 compute type, but the target device or backend do not support efficient float16"),
    ],
)
def test_what_else_fails_while_loading_is_the_model_s_fault(error: Exception) -> None:
    assert type(classify(error, loading=True)) is ModelUnavailable


def test_what_else_fails_while_decoding_is_the_chunk_s_fault() -> None:
    assert (
        type(classify(ValueError("MatMul: batch dimension of inputs a and b should match"), loading=False))
        is EngineInput
    )


def test_our_own_errors_stay_what_they_are() -> None:
    error = EngineInput("a chunk has at most 30 s")

    assert classify(error, loading=True) is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineInput("x"), "input"),
        (EngineMemory("x"), "memory"),
        (EngineDevice("x"), "device"),
        (ModelUnavailable("x"), "model"),
    ],
)
def test_kinds_on_the_wire(error: EngineError, kind: str) -> None:
    assert kind_of(error) == kind
