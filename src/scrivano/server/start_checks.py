"""What would fail only at the first load of a model, checked at startup."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from scrivano.domain.errors import ModelUnavailable, StartError
from scrivano.engines.catalog import find_model
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.engines.model_path import check_model_path
from scrivano.server.devices import model_names
from scrivano.server.settings import Settings

__all__ = ["check_device", "check_model_on_disk", "check_sharing", "check_start", "count_cuda_devices"]

# Runs in a child process, because a broken driver may crash the process that uses it.
CUDA_PROBE = "import ctranslate2; print(ctranslate2.get_cuda_device_count())"
PROBE_S = 60

# Each of them names the folder of downloaded models (huggingface_hub).
CACHE_VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


def check_start(settings: Settings, memory: MemoryReader) -> None:
    """Raises `StartError`: one line that says what to change."""
    check_sharing(settings)
    check_dispatched(settings)
    if settings.executor == "local":
        check_model_on_disk(settings)
        check_device(settings, memory, count_cuda_devices)
        check_downloads(settings, model_names(settings, memory), os.environ)


def check_sharing(settings: Settings) -> None:
    """Raises `StartError` if servers would share jobs whose recordings only one of them has."""
    if settings.database_url is not None and settings.blob_url is None:
        raise StartError(
            "DATABASE_URL lets several servers share jobs, so BLOB_URL must say where they all find the recordings:"
            " a folder (file:///srv/scrivano) or a bucket (s3://bucket/prefix)"
        )


def check_dispatched(settings: Settings) -> None:
    """Raises `StartError` if dispatchers are to run the jobs, and could not get them."""
    if settings.executor == "dispatcher" and settings.database_url is None:
        raise StartError("EXECUTOR=dispatcher needs DATABASE_URL and BLOB_URL: they are how dispatchers get the jobs")
    if settings.executor == "dispatcher" and not (settings.whisper_model or settings.whisper_model_path):
        raise StartError("EXECUTOR=dispatcher needs WHISPER_MODEL, the same as the dispatchers have")


def check_model_on_disk(settings: Settings) -> None:
    """Raises `StartError` if WHISPER_MODEL_PATH is no model."""
    if settings.whisper_model_path is None:
        return
    try:
        check_model_path(settings.whisper_model_path)
    except ModelUnavailable as error:
        raise StartError(f"WHISPER_MODEL_PATH: {error}") from error


def check_device(settings: Settings, memory: MemoryReader, cuda_devices: Callable[[], int]) -> None:
    """Raises `StartError` if DEVICE is `cuda` and a device of CUDA_DEVICE does not exist.

    `cuda_devices` takes seconds, so it is called only if NVML cannot read a device, as on some boards.
    """
    if settings.device != "cuda" or all(memory.read(gpu) is not None for gpu in settings.cuda_device):
        return
    found = cuda_devices()
    missing = [gpu for gpu in settings.cuda_device if gpu >= found]
    if missing:
        raise StartError(
            f"DEVICE is 'cuda', but there is no CUDA device {', '.join(map(str, missing))} (found: {found}):"
            " check the driver (nvidia-smi) and the container's GPU access (--gpus all), or set DEVICE=cpu"
        )


def check_downloads(settings: Settings, models: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Raises `StartError` if a model must be downloaded, and there is no folder for it."""
    with suppress(RuntimeError):
        Path.home()
        return
    downloaded = models if settings.whisper_model_path is None else models[1:]
    needed = [name for name in downloaded if find_model(name).repository is not None]
    if needed and not any(environ.get(name) for name in CACHE_VARIABLES):
        raise StartError(
            f"user {os.getuid()} has no home folder for the model {needed[0]}: set HF_HOME to a folder for downloaded"
            " models, or WHISPER_MODEL_PATH to a model on disk"
        )


def count_cuda_devices() -> int:
    """How many CUDA devices CTranslate2 can use; 0 if it cannot be asked."""
    try:
        probe = subprocess.run([sys.executable, "-c", CUDA_PROBE], capture_output=True, text=True, timeout=PROBE_S)
        return int(probe.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
