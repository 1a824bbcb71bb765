"""`scrivano doctor` and `scrivano models`: what this machine has, what it can run, and a proof."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scrivano import __version__
from scrivano.cli.temporary_server import own_server
from scrivano.client import Client
from scrivano.domain.errors import ScrivanoError
from scrivano.engines.catalog import REPOSITORIES, default_model, find_model, known_models, vram_needed_mb
from scrivano.engines.gpu_memory import GpuMemory, NvmlReader
from scrivano.server.settings import Settings

LIBRARIES = ("ctranslate2", "faster-whisper", "av", "onnxruntime", "sqlalchemy", "fastapi", "uvicorn")

WHISPER_CPP = "pywhispercpp"
GET_WHISPER_CPP = "pip install 'scrivano[whispercpp]'"

# In a process of its own: a broken driver may take the process with it.
CUDA_PROBE = "import ctranslate2; print(ctranslate2.get_cuda_device_count())"


class Bad(Exception):
    """A check found something wrong; its message says what to do."""


def examine(console: Console, model: str) -> bool:
    """Print one line a check; True when all is well."""
    well = True
    for name, check in _checks(model):
        try:
            console.print(f"[green]ok[/]    {name}: {check()}")
        except (Bad, ScrivanoError, OSError, subprocess.SubprocessError) as error:
            well = False
            console.print(f"[red]wrong[/] {name}: ", end="")
            console.print(str(error), markup=False)
    return well


def list_models(console: Console) -> None:
    """Name, repository, memory on a GPU, and whether it is here already."""
    table = Table("name", "comes from", "GPU memory", "here", box=None, pad_edge=False)
    for name in known_models():
        needed = vram_needed_mb(name)
        source = REPOSITORIES.get(name, "this package")
        table.add_row(name, source, f"{needed} MB" if needed else "", "yes" if _is_here(name) else "")
    console.print(table)
    console.print("\nAny other CTranslate2 Whisper: its Hugging Face id (owner/name), or WHISPER_MODEL_PATH=FOLDER.")
    here = "which is installed" if find_spec(WHISPER_CPP) else f"after {GET_WHISPER_CPP}"
    console.print(f"A GGML file of whisper.cpp: WHISPER_MODEL_PATH=FILE, through pywhispercpp, {here}.", markup=False)


def _checks(model: str) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "Scrivano", lambda: f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "processor", lambda: f"{os.cpu_count()} cores, {_memory_gb():.1f} GB of memory"
    yield "libraries", _libraries
    yield "GPU", _gpu
    yield "model", _model
    yield "data folder", _data_folder
    yield "proof", lambda: _proof(model)


def _libraries() -> str:
    extra = [WHISPER_CPP] if find_spec(WHISPER_CPP) else []
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in (*LIBRARIES, *extra))


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _gpu() -> str:
    memory = _first_gpu(Settings.load())
    if memory is None:
        return "none that NVML can read; the model runs on the processor"
    seen = subprocess.run([sys.executable, "-c", CUDA_PROBE], capture_output=True, text=True, timeout=60)
    if seen.stdout.strip() in ("", "0"):
        raise Bad(f"{memory.name} is there, but CTranslate2 cannot use it; check the driver, or set DEVICE=cpu")
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
        if path.is_file() and not find_spec(WHISPER_CPP):
            raise Bad(f"{path} is a file, which takes whisper.cpp; {GET_WHISPER_CPP}")
        return f"{path}"
    memory = _first_gpu(settings)
    name = settings.whisper_model or default_model(memory.total_mb if memory else None)
    return f"{name}, {'here already' if _is_here(name) else 'downloaded at its first load'}"


def _data_folder() -> str:
    folder = Settings.load().data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder}, {shutil.disk_usage(folder).free / 1e9:.1f} GB free"
    except OSError as error:
        raise Bad(f"{folder} cannot be written to ({error.strerror}); set DATA_DIR to a folder that can") from error


def _proof(model: str) -> str:
    """Transcribe the bundled recording through a server of its own."""
    began = time.monotonic()
    bundled = files("scrivano") / "nano" / "recording.flac"
    with as_file(bundled) as recording, own_server(model) as url, Client(url) as client:
        transcript = client.wait(client.submit(recording, queue=True)).transcript
    if not transcript.segments:
        raise Bad(f"{model} heard nothing in the bundled recording; see the log of `scrivano serve`")
    secs = time.monotonic() - began
    count = len(transcript.text.split())
    return f"{model} heard {count} words in {transcript.duration:.0f} s of audio; {secs:.1f} s in all"


def _is_here(name: str) -> bool:
    """Whether a load needs no download."""
    source = find_model(name)
    if source.folder is not None:
        return True
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repository or "", "model.bin")
    return isinstance(found, str) and Path(found).exists()
