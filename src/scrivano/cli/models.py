"""`scrivano models`: list the models."""

from __future__ import annotations

from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

__all__ = ["models"]


def models() -> None:
    """List the models that WHISPER_MODEL and --model accept."""
    from scrivano.cli.model_cache import is_downloaded
    from scrivano.engines.catalog import REPOSITORIES, known_models, vram_needed_mb

    console = Console(highlight=False)
    table = Table("name", "source", "GPU memory", "downloaded", box=None, pad_edge=False)
    for name in known_models():
        needed_mb = vram_needed_mb(name)
        source = REPOSITORIES.get(name, "this package")
        table.add_row(name, source, f"{needed_mb} MB" if needed_mb else "", "yes" if is_downloaded(name) else "")
    console.print(table)
    console.print("\nAny other CTranslate2 Whisper: its Hugging Face id (owner/name), or WHISPER_MODEL_PATH=FOLDER.")
    installed = "which is installed" if find_spec("pywhispercpp") else "after pip install 'scrivano[whispercpp]'"
    console.print(f"A GGML file of whisper.cpp: WHISPER_MODEL_PATH=FILE, with pywhispercpp, {installed}.", markup=False)
