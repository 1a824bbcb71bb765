"""Classifies the exceptions of model libraries. CTranslate2 raises plain RuntimeErrors; only their texts differ."""

from __future__ import annotations

from scrivano.domain.errors import EngineDevice, EngineError, EngineInput, EngineMemory, ModelUnavailable
from scrivano.processes.messages import FailureKind

__all__ = ["classify", "kind_of"]

MISSING_LIBRARY = (
    "is not found or cannot be loaded",
    "cannot open shared object file",
    "unable to load any of {libcudnn",
)
OLD_DRIVER = (
    "driver version is insufficient",
    "unsupported display driver",
    "not compiled with cuda support",
    "no kernel image is available",
)
MEMORY = (
    "out of memory",
    "cudaerrormemoryallocation",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "bad_alloc",
    "cannot allocate memory",
    # CTranslate2's caching allocator has reported an exhausted device with this code.
    "cudaerrorinvaliddevice",
)
# After a CUDA error no call in the same process works: whatever the text, a new process is needed.
DEVICE = (
    "no cuda-capable device",
    "cuda failed with error",
    "cuda error",
    "cublas failed with status",
    "cublas_status_",
    "cudnn failed with status",
    "cudnn_status_",
    "invalid device ordinal",
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
)


def classify(error: BaseException, *, loading: bool) -> EngineError:
    """Return `error` as one of our errors. An unknown failure is the model's fault if `loading`, else the chunk's.

    The order matters: memory and missing libraries are also reported in the words of a failed device.
    """
    if isinstance(error, EngineError):
        return error
    text = str(error) or type(error).__name__
    lower = text.lower()
    if isinstance(error, MemoryError) or _has(lower, MEMORY):
        return EngineMemory(f"the device lacks memory: {text}")
    if _has(lower, MISSING_LIBRARY):
        return ModelUnavailable(
            f"a CUDA library is missing: {text}; install cuBLAS and cuDNN for CUDA 12, or use the CPU"
        )
    if _has(lower, OLD_DRIVER):
        return ModelUnavailable(f"the GPU driver does not fit: {text}; update the driver, or use the CPU")
    if _has(lower, DEVICE):
        return EngineDevice(f"the device failed: {text}")
    if loading:
        return ModelUnavailable(f"the model cannot be read: {text}")
    return EngineInput(f"this audio cannot be decoded: {text}")


def kind_of(error: EngineError) -> FailureKind:
    """How the messages of the engine child name it."""
    match error:
        case EngineMemory():
            return "memory"
        case EngineDevice():
            return "device"
        case ModelUnavailable():
            return "model"
        case _:
            return "input"


def _has(text: str, marks: tuple[str, ...]) -> bool:
    return any(mark in text for mark in marks)
