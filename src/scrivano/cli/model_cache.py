"""The models in Hugging Face's cache on this machine, and what the hub has of a model.

Functions import the hub's library when they are called, because that is slow.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from scrivano.engines.catalog import FILES, find_model

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

__all__ = [
    "NO_HUB",
    "CachedModel",
    "HubError",
    "HubFile",
    "HubModel",
    "cache_folder",
    "cached_models",
    "damaged_files",
    "download_bytes",
    "hub_folders",
    "hub_model",
    "is_downloaded",
    "nearest_folder",
    "one_line",
    "remove_cached",
    "repository_folder",
]

HUB_S = 10.0

# The hub's cache names a file by its hash: SHA-256 for large files, Git's SHA-1 for small ones.
SHA256_DIGITS, SHA1_DIGITS = 64, 40


# What the hub's library raises over an answer that is not a hub's: a page of a captive portal, or other JSON.
NO_HUB = (ValueError, TypeError, KeyError, AttributeError)


class HubError(Exception):
    """The hub does not have the model, or does not respond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file in a repository of the hub. `sha256` is known for large files only."""

    name: str
    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """The files of a model in the hub that a load needs."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """A CTranslate2 Whisper model in the cache. `size_bytes`: what it takes on disk."""

    repository: str
    size_bytes: int


def is_downloaded(name: str) -> bool:
    """True if the model can be loaded without a download."""
    source = find_model(name)
    if source.folder is not None:
        return True
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repository or "", "model.bin")
    return isinstance(found, str) and Path(found).exists()


def download_bytes(name: str) -> int:
    """The size of a model's download, as the hub says. Raises `HubError`."""
    return hub_model(name).size_bytes


def hub_model(name: str) -> HubModel:
    """What the hub has of a model. Raises `HubError`."""
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    repository = find_model(name).repository or ""
    try:
        model = _model(repository, HfApi().model_info(repository, files_metadata=True, timeout=HUB_S))
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
        raise HubError(f"{constants.ENDPOINT} does not have it or cannot be reached ({one_line(error)})") from error
    except (*NO_HUB, httpx2.InvalidURL) as error:
        raise HubError(
            f"{constants.ENDPOINT} does not answer as a hub does ({one_line(error)}): a login page of this network, or"
            " HF_ENDPOINT is something else"
        ) from error
    if "model.bin" not in {file.name for file in model.files}:
        raise HubError(f"{constants.ENDPOINT} has no CTranslate2 Whisper model (model.bin) in {repository}")
    return model


def _model(repository: str, info: ModelInfo) -> HubModel:
    wanted = [file for file in info.siblings or [] if any(fnmatch(file.rfilename, pattern) for pattern in FILES)]
    files = (
        HubFile(name=file.rfilename, size_bytes=int(file.size or 0), sha256=file.lfs.sha256 if file.lfs else None)
        for file in wanted
    )
    return HubModel(repository=repository, commit=info.sha or "main", files=tuple(files))


def one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def cache_folder() -> Path:
    """The folder of downloaded models, or the nearest one above it that exists."""
    from huggingface_hub import constants

    return nearest_folder(Path(constants.HF_HUB_CACHE).absolute())


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def hub_folders() -> tuple[Path, Path]:
    """Where downloads write: the hub's folder, and the cache, which is usually in it."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE)


def repository_folder(repository: str) -> Path:
    """Where the cache keeps a repository, whether it is there or not."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE).absolute() / repo_folder_name(repo_id=repository, repo_type="model")


def cached_models() -> list[CachedModel]:
    """The CTranslate2 Whisper models in the cache, by their repositories."""
    from huggingface_hub import constants, scan_cache_dir

    if not Path(constants.HF_HUB_CACHE).is_dir():
        return []
    return [
        CachedModel(repository=repository.repo_id, size_bytes=repository.size_on_disk)
        for repository in sorted(scan_cache_dir().repos, key=lambda one: one.repo_id.lower())
        if repository.repo_type == "model"
        and any({"model.bin", "config.json"} <= {file.file_name for file in one.files} for one in repository.revisions)
    ]


def remove_cached(repository: str) -> int:
    """Delete a repository from the cache. Returns the freed bytes; 0 if it was not there. Raises `OSError`."""
    folder = repository_folder(repository)
    if not folder.is_dir():
        return 0
    # Files of snapshots are links to blobs; a cache without links (on Windows) has only the files themselves.
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    shutil.rmtree(folder)
    return freed


def damaged_files(snapshot: Path) -> list[Path]:
    """The files of a model in the cache whose content is not what their hash says."""
    return [path for path in sorted(snapshot.iterdir()) if not _intact(path)]


def _intact(path: Path) -> bool:
    target = path.resolve()
    expected = target.name
    if not target.is_file():
        return False
    if not path.is_symlink():  # A cache without links does not keep the hashes.
        return True
    with target.open("rb") as file:
        if len(expected) == SHA1_DIGITS:
            start = hashlib.sha1(b"blob %d\0" % target.stat().st_size)
            return hashlib.file_digest(file, lambda: start).hexdigest() == expected
        return len(expected) != SHA256_DIGITS or hashlib.file_digest(file, "sha256").hexdigest() == expected
