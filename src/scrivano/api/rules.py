"""Which requests need which key, and which may carry a recording. Pure.

What is not named here needs a key: an admin's, or to be read a reader's. So a new route is closed until somebody has
thought about it.
"""

from __future__ import annotations

from scrivano.auth.keys import Scope

__all__ = ["OPEN_PATHS", "is_open", "is_stream", "needed", "takes_recording"]

OPEN_PATHS = frozenset({"/", "/docs", "/health", "/livez", "/openapi.json", "/readyz"})
OPEN_FOLDER = "/assets"

READS = ("GET", "HEAD")
# What stands under these makes jobs, or changes one's own.
RECORDINGS = ("/asr", "/detect-language", "/inference", "/jobs", "/uploads", "/v1/audio")

# Who may submit needs to know these, too.
ABOUT_THE_MODEL = ("/model/events", "/model/status", "/status", "/v1/models")


def is_open(path: str) -> bool:
    """Whether anybody may ask, without a key."""
    return path in OPEN_PATHS or path.startswith(f"{OPEN_FOLDER}/")


def needed(method: str, path: str) -> frozenset[Scope]:
    """The scopes of which a key must have one; an admin's key has them all."""
    if _under(path, ("/uploads",)) or (method not in READS and _under(path, RECORDINGS)):
        return frozenset({Scope.SUBMIT})
    if method not in READS:
        return frozenset({Scope.ADMIN})
    if _under(path, ABOUT_THE_MODEL):
        return frozenset({Scope.SUBMIT, Scope.READ})
    return frozenset({Scope.READ})


def is_stream(method: str, path: str) -> bool:
    """Whether the answer goes on until its reader has enough of it."""
    return method == "GET" and (path == "/model/events" or (_under(path, ("/jobs",)) and path.endswith("/stream")))


def takes_recording(method: str, path: str) -> bool:
    """Whether the body may be of any size. (`POST /load` takes a form, of which the file is ignored.)"""
    return method not in READS and _under(path, (*RECORDINGS, "/load"))


def _under(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
