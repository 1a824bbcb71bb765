"""A model's files: on disk, in the Hugging Face cache, or downloaded. Only the engine process imports this module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from scrivano.domain.errors import ModelUnavailable
from scrivano.engines.catalog import FILES, ModelSource

__all__ = ["OnBytes", "fetch"]

INFO_S = 10.0

# Called with the bytes that were downloaded and the bytes in all (None: not known yet), from several threads.
OnBytes = Callable[[int, int | None], None]


def fetch(source: ModelSource, on_bytes: OnBytes) -> Path:
    """Return the folder with the model's files. A model that is in the cache is used without a request to the hub.

    If the connection breaks, the hub's library resumes the download (five times, a second apart, at multiples of
    10 MB). If it gives up, the complete files stay in the cache. Raises `ModelUnavailable`, which says what to do.
    """
    if source.folder is not None:
        return _existing(source.folder)
    assert source.repository is not None
    cached = _cached(source.repository)
    if cached is not None:
        return cached
    try:
        total_bytes = _total_bytes(source.repository)
        if total_bytes:
            on_bytes(0, total_bytes)
        folder = Path(_snapshot(source.repository, tqdm_class=_reporter(on_bytes, total_bytes)))
    except Exception as error:
        raise ModelUnavailable(
            f"the model {source.name!r} could not be downloaded from {source.repository}: {_why(error)}"
        ) from error
    if not _complete(folder):
        raise ModelUnavailable(
            f"{source.repository} holds no CTranslate2 Whisper model (model.bin and config.json); "
            "choose a repository that does, or convert the model with ct2-transformers-converter"
        )
    return folder


def _existing(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    raise ModelUnavailable(
        f"{folder} does not exist; WHISPER_MODEL_PATH is a folder with a CTranslate2 Whisper model, "
        "or a GGML file of whisper.cpp"
    )


def _cached(repository: str) -> Path | None:
    try:
        folder = Path(_snapshot(repository, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None
    return folder if _complete(folder) else None


def _complete(folder: Path) -> bool:
    """A snapshot folder exists as soon as it has one file. The model, as the largest file, is the last one."""
    return (folder / "model.bin").is_file() and (folder / "config.json").is_file()


def _snapshot(repository: str, **options: Any) -> str:
    return str(huggingface_hub.snapshot_download(repository, allow_patterns=list(FILES), **options))


def _total_bytes(repository: str) -> int | None:
    """The size of the download. None: the hub does not say; then it is known as files begin to arrive."""
    try:
        listed = huggingface_hub.HfApi().model_info(repository, files_metadata=True, timeout=INFO_S).siblings or []
    except (OSError, httpx2.HTTPError, HfHubHTTPError):  # the download itself reports what is wrong
        return None
    wanted = [file.size for file in listed if any(fnmatch(file.rfilename, pattern) for pattern in FILES)]
    return sum(size or 0 for size in wanted) or None


def _why(error: Exception) -> str:
    endpoint = huggingface_hub.constants.ENDPOINT
    if isinstance(error, RepositoryNotFoundError):
        return f"{endpoint} knows no such repository, or it needs a token (HF_TOKEN); check WHISPER_MODEL"
    if isinstance(error, LocalEntryNotFoundError | httpx2.TransportError):
        return (
            f"{endpoint} cannot be reached or broke off ({_short(error)}); check the network, set HF_ENDPOINT to a "
            "mirror, or put a model folder on disk and name it in WHISPER_MODEL_PATH"
        )
    if isinstance(error, HfHubHTTPError):
        return f"{endpoint} answered {_short(error)}; try again later, or name a model folder in WHISPER_MODEL_PATH"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{_short(error)}; check the free space and the rights of the cache folder (HF_HOME)"
    return f"{_short(error)}; try again, or name a model folder in WHISPER_MODEL_PATH"


def _short(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no details'}"


def _reporter(on_bytes: OnBytes, total_bytes: int | None) -> type[tqdm]:
    """Return a class of progress bars for `snapshot_download` that draw nothing and call `on_bytes`.

    The hub's library makes several bars: one counts files, and one or two (by its version) count the same bytes.
    """
    lock = threading.Lock()
    bars: list[Any] = []

    def report() -> None:
        with lock:
            totals = [bar.total for bar in bars if bar.total]
            done = max(int(bar.n) for bar in bars)
        on_bytes(done, max(done, total_bytes or 0, *totals) if totals or total_bytes else None)

    class Reporter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            self.counts_bytes = options.get("unit") == "B"
            if self.counts_bytes:
                with lock:
                    bars.append(self)

        def update(self, n: float | None = 1) -> bool | None:
            with lock:
                self.n += n or 0
            return self.refresh()

        def refresh(self, *args: Any, **options: Any) -> bool | None:
            if self.counts_bytes:
                report()
            return None

    return Reporter
