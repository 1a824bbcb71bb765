"""What `scrivano doctor` checks: this machine, the settings, and a test transcription."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import as_file, files
from importlib.util import find_spec

from rich.console import Console

from scrivano import __version__
from scrivano.cli.model_cache import HubError, cache_folder, download_bytes, is_downloaded
from scrivano.cli.temporary_server import temporary_server
from scrivano.client import Client
from scrivano.cluster.ray_address import check_listening
from scrivano.domain.errors import ScrivanoError
from scrivano.domain.wording import counted
from scrivano.engines.catalog import default_model
from scrivano.engines.gpu_memory import GpuMemory, NvmlReader
from scrivano.engines.model_path import check_model_path
from scrivano.files.disk_space import DiskSpace, free_bytes
from scrivano.server.blob_storage import open_blobs
from scrivano.server.settings import Settings
from scrivano.server.start_checks import count_cuda_devices
from scrivano.server.stores import check_database

__all__ = ["check_ray", "run_checks"]

LIBRARIES = ("ctranslate2", "faster-whisper", "av", "onnxruntime", "sqlalchemy", "fastapi", "uvicorn")

WHISPER_CPP = "pywhispercpp"


class CheckFailed(Exception):
    """The message says what is wrong and what to do."""


def run_checks(console: Console, model: str) -> bool:
    """Print one line for each check. Returns whether all passed."""
    passed = True
    for name, check in _checks(model):
        try:
            console.print(f"[green]ok[/]    {name}: {check()}")
        except (CheckFailed, ScrivanoError, OSError, subprocess.SubprocessError) as error:
            passed = False
            console.print(f"[red]wrong[/] {name}: ", end="")
            console.print(str(error), markup=False)
    return passed


def _checks(model: str) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "Scrivano", lambda: f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "processor", lambda: f"{counted(os.cpu_count() or 1, 'core')}, {_memory_gb():.1f} GB of memory"
    yield "libraries", _libraries
    yield "GPU", _gpu
    yield "model", _model
    yield "data folder", _data_folder
    yield "database", lambda: check_database(Settings.load())
    if address := Settings.load().ray_address:
        yield "Ray", lambda: check_ray(address)
    yield "recordings", _recordings
    yield "test", lambda: _test_transcription(model)


def _libraries() -> str:
    extra = [WHISPER_CPP] if find_spec(WHISPER_CPP) else []
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in (*LIBRARIES, *extra))


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _gpu() -> str:
    memory = _first_gpu(Settings.load())
    if memory is None:
        return "none found; the model runs on the processor"
    if not count_cuda_devices():
        raise CheckFailed(f"CTranslate2 cannot use the {memory.name}: check the driver, or set DEVICE=cpu")
    return f"{memory.name}, {memory.free_mb} of {memory.total_mb} MB free"


def _first_gpu(settings: Settings) -> GpuMemory | None:
    reader = NvmlReader()
    memory = reader.read(settings.cuda_device[0])
    reader.close()
    return memory


def _model() -> str:
    settings = Settings.load()
    path = settings.whisper_model_path
    if path is not None:
        check_model_path(path)
        return str(path)
    memory = _first_gpu(settings)
    name = settings.whisper_model or default_model(memory.total_mb if memory else None)
    return f"{name}, downloaded" if is_downloaded(name) else f"{name}, {_download(name)}"


def _download(name: str) -> str:
    """Ask the hub for the size of the model, and compare it with the free disk space."""
    try:
        size_bytes = download_bytes(name)
    except HubError as error:
        raise CheckFailed(
            f"{name} is not downloaded, and {error}: check the network, set HF_ENDPOINT to a mirror, or"
            " WHISPER_MODEL_PATH to a model on disk"
        ) from error
    folder = cache_folder()
    free = free_bytes(folder)
    if free < size_bytes:
        raise CheckFailed(
            f"{name} is a download of {size_bytes / 1e6:.0f} MB, but {folder} has {free / 1e6:.0f} MB free: free some"
            " space, or set HF_HOME to a folder on another disk"
        )
    return f"will be downloaded at its first load ({size_bytes / 1e6:.0f} MB; {free / 1e9:.1f} GB free)"


def check_ray(address: str) -> str:
    """Whether something listens there; the cluster itself is not asked, since Ray takes seconds for that."""
    if check_listening(address, wait_s=0.0):
        return f"something listens at {address}"
    return f"{address}: not tried, since it is not host:port; `scrivano dispatcher` passes it to Ray"


def _data_folder() -> str:
    folder = Settings.load().data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder}, {free_bytes(folder) / 1e9:.1f} GB free"
    except OSError as error:
        raise CheckFailed(f"cannot write to {folder} ({error.strerror}): set DATA_DIR to another folder") from error


def _recordings() -> str:
    """Store something where BLOB_URL says, read a part of it, and delete it."""
    settings = Settings.load()
    if settings.blob_url is None:
        return "in the data folder"
    started_at = time.monotonic()
    with closing(open_blobs(settings, DiskSpace(settings.data_dir))) as blobs:
        place = blobs.check()
    return f"in {place}: written, read, listed and deleted in {time.monotonic() - started_at:.2f} s"


def _test_transcription(model: str) -> str:
    """Transcribe the bundled recording with a temporary server."""
    started_at = time.monotonic()
    bundled = files("scrivano") / "nano" / "recording.flac"
    with as_file(bundled) as recording, temporary_server(model) as url, Client(url) as client:
        transcript = client.wait(client.submit(recording, queue=True)).transcript
    if not transcript.segments:
        raise CheckFailed(f"{model} found no speech in the bundled recording: see the log of `scrivano serve`")
    duration_s = time.monotonic() - started_at
    words = counted(len(transcript.text.split()), "word")
    return f"{model} transcribed {words} in {transcript.duration:.0f} s of audio; {duration_s:.1f} s in total"
