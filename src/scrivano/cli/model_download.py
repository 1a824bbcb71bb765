"""Download a model into Hugging Face's cache, for a server that will have no network.

The hub's own library starts a file anew when its process ended in the middle. Here a large file continues where it
stopped: in a `.part` file beside its place in the cache, which the library finds complete afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from scrivano.cli.model_cache import (
    NO_HUB,
    HubError,
    HubFile,
    HubModel,
    damaged_files,
    nearest_folder,
    one_line,
    repository_folder,
)
from scrivano.domain.wording import counted
from scrivano.engines.catalog import FILES
from scrivano.engines.model_path import missing_files
from scrivano.files.disk_space import free_bytes

__all__ = ["cached_folder", "pull", "remove_damaged"]

# How often in a row a broken download is continued without having received anything.
ATTEMPTS = 5

# To connect, and to wait for the next bytes.
NETWORK_S = 30.0

# Called with the bytes of this model that are on disk.
OnBytes = Callable[[int], None]


def missing_bytes(model: HubModel) -> int:
    """How many bytes of the model are not on disk yet."""
    return model.size_bytes - sum(_present_bytes(model, file) for file in model.files)


def pull(model: HubModel, on_bytes: OnBytes) -> Path:
    """Download what is missing of a model, and check its large files. Returns its folder. Raises `HubError`."""
    missing, free = missing_bytes(model), free_bytes(nearest_folder(repository_folder(model.repository)))
    if missing > free:
        raise HubError(
            f"{missing / 1e6:.0f} MB are missing, but the disk of {repository_folder(model.repository).parent} has"
            f" {free / 1e6:.0f} MB free: free some space, or set HF_HOME to a folder on another disk"
        )
    done = 0
    for file in model.files:
        if file.sha256 is not None:
            _fetch(model, file, lambda present, done=done: on_bytes(done + present))  # type: ignore[misc]
            done += file.size_bytes
    folder = _small_files_and_links(model)
    on_bytes(model.size_bytes)
    return folder


def cached_folder(repository: str) -> Path | None:
    """The folder of a downloaded model, without a request to the hub. None: it is not complete."""
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(FILES), local_files_only=True))
    except (OSError, ValueError):
        return None
    return None if missing_files(folder) else folder


def remove_damaged(folder: Path) -> list[str]:
    """Check every file of a downloaded model, and delete those with wrong bytes. Returns their names."""
    damaged = damaged_files(folder)
    for path in damaged:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return [path.name for path in damaged]


def _small_files_and_links(model: HubModel) -> Path:
    """Let the hub's library fetch the small files, and link all files to the snapshot of the commit."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

    try:
        folder = huggingface_hub.snapshot_download(model.repository, allow_patterns=list(FILES), tqdm_class=Silent)
    except (HfHubHTTPError, httpx2.HTTPError, OSError, *NO_HUB) as error:
        raise HubError(
            f"the download broke off ({one_line(error)}): run the command again, and it continues"
        ) from error
    if damaged := remove_damaged(Path(folder)):
        raise HubError(f"{', '.join(damaged)} arrived with wrong bytes and was deleted; run the command again")
    return Path(folder)


def _fetch(model: HubModel, file: HubFile, on_bytes: OnBytes) -> None:
    """Download a large file, from where an earlier download stopped. Raises `HubError`."""
    blob, part = _blob(model, file), _part(model, file)
    if blob.exists():
        on_bytes(file.size_bytes)
        return
    blob.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as output:
        _lock(output.fileno(), part)
        _receive(model, file, output, on_bytes)
        os.fsync(output.fileno())
        if _sha256(part) != file.sha256:
            part.unlink()
            raise HubError(f"{file.name} arrived with wrong bytes and was deleted; run the command again")
        part.replace(blob)


def _receive(model: HubModel, file: HubFile, output: Any, on_bytes: OnBytes) -> None:
    failures = 0
    while (present := output.tell()) < file.size_bytes:
        size = counted(file.size_bytes, "byte")
        reason: Exception = EOFError(f"fewer than the {size} that {model.repository} has arrive")
        try:
            _request(model, file, output, on_bytes)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            reason = error
        failures = 0 if output.tell() > present else failures + 1
        if isinstance(reason, httpx2.HTTPStatusError) or failures >= ATTEMPTS:
            raise HubError(
                f"the download of {file.name} broke off ({one_line(reason)}): run the command again, and it continues"
            ) from reason


def _request(model: HubModel, file: HubFile, output: Any, on_bytes: OnBytes) -> None:
    """One request for the rest of the file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    present = output.tell()
    headers = {**build_hf_headers(), "Range": f"bytes={present}-", "Accept-Encoding": "identity"}
    url = hf_hub_url(model.repository, file.name, revision=model.commit)
    with httpx2.stream("GET", url, headers=headers, follow_redirects=True, timeout=NETWORK_S) as response:
        response.raise_for_status()
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:  # A mirror that ignores `Range` sends all of it.
            output.truncate(0)
            present = 0
        for data in response.iter_raw():  # As it arrives: what has arrived when the connection breaks is kept.
            output.write(data)
            present += len(data)
            on_bytes(present)
        output.flush()


def _lock(fd: int, part: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise HubError(f"another process downloads it to {part}: wait for that") from error


def _present_bytes(model: HubModel, file: HubFile) -> int:
    """Small files count as missing: they are few, and only the library knows their names in the cache."""
    if file.sha256 is None:
        return 0
    if _blob(model, file).exists():
        return file.size_bytes
    part = _part(model, file)
    return min(part.stat().st_size, file.size_bytes) if part.exists() else 0


def _blob(model: HubModel, file: HubFile) -> Path:
    return repository_folder(model.repository) / "blobs" / str(file.sha256)


def _part(model: HubModel, file: HubFile) -> Path:
    return _blob(model, file).with_name(f"{file.sha256}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
