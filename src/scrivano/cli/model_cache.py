"""Whether a model has been downloaded, and the size of the download."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from scrivano.engines.catalog import FILES, find_model

__all__ = ["HubError", "cache_folder", "download_bytes", "is_downloaded"]

HUB_S = 10.0


class HubError(Exception):
    """The hub does not have the model, or does not respond."""


def is_downloaded(name: str) -> bool:
    """True if the model can be loaded without a download."""
    source = find_model(name)
    if source.folder is not None:
        return True
    from huggingface_hub import try_to_load_from_cache  # Slow to import.

    found = try_to_load_from_cache(source.repository or "", "model.bin")
    return isinstance(found, str) and Path(found).exists()


def download_bytes(name: str) -> int:
    """The size of a model's download, as the hub says. Raises `HubError`."""
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    repository = find_model(name).repository or ""
    try:
        listed = HfApi().model_info(repository, files_metadata=True, timeout=HUB_S).siblings or []
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HubError(f"{constants.ENDPOINT} does not have it or cannot be reached ({reason})") from error
    wanted = [file for file in listed if any(fnmatch(file.rfilename, pattern) for pattern in FILES)]
    return sum(file.size or 0 for file in wanted)


def cache_folder() -> Path:
    """The folder of downloaded models, or the nearest one above it that exists."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE).absolute()
    return next(one for one in (folder, *folder.parents) if one.is_dir())
