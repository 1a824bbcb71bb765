"""Whether a model has been downloaded."""

from __future__ import annotations

from pathlib import Path

from scrivano.engines.catalog import find_model

__all__ = ["is_downloaded"]


def is_downloaded(name: str) -> bool:
    """True if the model can be loaded without a download."""
    source = find_model(name)
    if source.folder is not None:
        return True
    from huggingface_hub import try_to_load_from_cache  # Slow to import.

    found = try_to_load_from_cache(source.repository or "", "model.bin")
    return isinstance(found, str) and Path(found).exists()
