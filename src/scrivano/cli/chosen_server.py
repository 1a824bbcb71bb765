"""The server that a command uses: the one that was asked for, one that runs already, or one started for the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scrivano.cli.temporary_server import model_on_disk, temporary_server
from scrivano.cli.transcription import find_server

__all__ = ["chosen_server"]


@contextmanager
def chosen_server(url: str | None, model: str | None, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The given server, or this user's running server if it has the model, or a temporary one.

    `model`: a name, or the path of a model (with a slash), for which a server is always started. `env`: settings, as
    environment variables; they need a server of their own, too. Raises `StartError`.
    """
    own = bool(env) or model_on_disk(model) is not None
    found = find_server(url, model) if url is not None or not own else None
    if found is not None:
        yield found
        return
    with temporary_server(model, env) as started:
        yield started
