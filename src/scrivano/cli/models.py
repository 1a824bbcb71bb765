"""`scrivano models`: list the models."""

from __future__ import annotations

from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

from scrivano.cli.console import exit_on_start_error

__all__ = ["models"]


def models() -> None:
    """List the models that WHISPER_MODEL and --model accept."""
    from scrivano.cli.model_cache import is_downloaded
    from scrivano.engines.catalog import REPOSITORIES, download_mb, known_models, relative_speed, vram_needed_mb
    from scrivano.engines.gpu_memory import NvmlReader
    from scrivano.server.devices import model_names
    from scrivano.server.settings import Settings

    memory = NvmlReader()
    with exit_on_start_error():
        default = model_names(Settings.load(), memory)[0]
    memory.close()
    console = Console(highlight=False)
    table = Table("name", "source", "download", "GPU memory", "speed", "downloaded", box=None, pad_edge=False)
    for name in known_models():
        table.add_row(
            f"{name} (default)" if name == default else name,
            REPOSITORIES.get(name, "this package"),
            _cell(download_mb(name), "MB"),
            _cell(vram_needed_mb(name), "MB"),
            _cell(relative_speed(name), "x"),
            "yes" if is_downloaded(name) else "",
        )
    console.print(table)
    console.print(f"\nDefault here: {default} (WHISPER_MODEL). Speed: compared with large-v3 on a GPU.", markup=False)
    console.print("Any other CTranslate2 Whisper: its Hugging Face id (owner/name), or WHISPER_MODEL_PATH=FOLDER.")
    installed = "which is installed" if find_spec("pywhispercpp") else "after pip install 'scrivano[whispercpp]'"
    console.print(f"A GGML file of whisper.cpp: WHISPER_MODEL_PATH=FILE, with pywhispercpp, {installed}.", markup=False)


def _cell(value: int | None, unit: str) -> str:
    return "" if value is None else f"{value} {unit}"
