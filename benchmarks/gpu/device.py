"""The machine, the driver, the libraries, what `scrivano doctor` says of them, and the first use of the device."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import ctranslate2
import onnxruntime

from benchmarks import machine
from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.load import timed

# Which of them CTranslate2 and onnxruntime can open by name.
CUDA_LIBRARIES = ("libcuda.so.1", "libcublas.so.12", "libcublas.so.13", "libcudnn.so.9", "libcudart.so.12")

VARIABLES = ("LD_LIBRARY_PATH", "CUDA_CACHE_PATH", "CUDA_VISIBLE_DEVICES", "CT2_CUDA_ALLOCATOR")

FIRST_USE = """
import sys
from pathlib import Path
from scrivano.engines.catalog import NANO_FOLDER
from scrivano.engines.ct2.adapter import Ct2Adapter
from scrivano.engines.engine import LoadOptions
from scrivano.engines.window_loop import WindowLoop
engine = WindowLoop(Ct2Adapter, LoadOptions(path=NANO_FOLDER, device=sys.argv[1], compute_type=sys.argv[2]))
engine.warm_up()
engine.close()
"""


def device(check: Check) -> Iterator[Row]:
    about = machine.describe()
    yield Row(name="processor", value=f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB")
    yield Row(name="system", value=f"{about['system']}, Python {about['python']}")
    yield Row(name="libraries", value=", ".join(f"{name} {number}" for name, number in about["libraries"].items()))
    yield from _gpus()
    yield Row(name="CUDA libraries", value=", ".join(f"{name}: {_opens(name)}" for name in CUDA_LIBRARIES))
    yield Row(name="NVIDIA packages", value=_nvidia_packages())
    yield Row(name="environment", value=", ".join(f"{name}={os.environ.get(name, '')}" for name in VARIABLES))
    yield Row(name="CTranslate2's CUDA devices", value=ctranslate2.get_cuda_device_count())
    types = sorted(ctranslate2.get_supported_compute_types(check.device))
    yield Row(name=f"CTranslate2's compute types on {check.device}", value=", ".join(types))
    yield Row(name="onnxruntime's providers", value=", ".join(onnxruntime.get_available_providers()))
    yield from _first_use(check)
    yield _doctor(check)


def _gpus() -> Iterator[Row]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield Row(name="GPU", skipped=f"NVML cannot be used: {error}")
        return
    yield Row(
        name="driver",
        value=_text(pynvml.nvmlSystemGetDriverVersion()),
        detail=f"CUDA {pynvml.nvmlSystemGetCudaDriverVersion_v2() / 1000:.1f}",
    )
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        yield Row(
            name=f"GPU {index}",
            value=_text(pynvml.nvmlDeviceGetName(handle)),
            detail=f"compute capability {major}.{minor}, {memory.used >> 20} of {memory.total >> 20} MB used",
        )
    pynvml.nvmlShutdown()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.decode())


def _opens(name: str) -> str:
    try:
        ctypes.CDLL(name)
    except OSError:
        return "no"
    return "yes"


def _nvidia_packages() -> str:
    found = []
    for name in ("nvidia-cublas-cu12", "nvidia-cublas", "nvidia-cudnn-cu12", "onnxruntime-gpu", "torch"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found) or "none"


def _first_use(check: Check) -> Iterator[Row]:
    """Twice, each in a new process: kernels that the library does not have for this GPU are compiled in the first."""
    for times in ("first", "second"):
        for compute_type in check.size.compute_types:
            command = [sys.executable, "-c", FIRST_USE, check.device, compute_type]
            seconds = timed(lambda command=command: subprocess.run(command, check=True))  # type: ignore[misc]
            yield Row(name=f"{times} use of the device by a new process, nano, {compute_type}", value=seconds, unit="s")


def _doctor(check: Check) -> Row:
    environment = {**os.environ, "DEVICE": check.device, "WHISPER_MODEL": "nano", "HF_HUB_OFFLINE": "1"}
    environment["DATA_DIR"] = str(check.scratch / "doctor")
    done = subprocess.run(
        [sys.executable, "-m", "scrivano", "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    return Row(name="scrivano doctor", value=done.stdout.strip(), detail=done.stderr.strip(), ok=done.returncode == 0)
