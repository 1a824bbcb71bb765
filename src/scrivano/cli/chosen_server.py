"""The server that a command uses: the one that was asked for, one that runs already, or one started for the command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scrivano.cli.temporary_server import model_on_disk, temporary_server
from scrivano.client import Client, ClientError
from scrivano.domain.addresses import authority, callable_host
from scrivano.domain.errors import ModelNotFound, StartError
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.server.settings import Settings
from scrivano.submission.model_names import ServedModels

__all__ = ["chosen_server"]

# How long a running server may take to answer its health check before another server is started.
HEALTH_TIMEOUT_S = 2.0


@contextmanager
def chosen_server(url: str | None, model: str | None, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The given server, or this user's running server if it has the model, or a temporary one.

    `model`: a name, or the path of a model (with a slash), for which a server is always started. `env`: settings, as
    environment variables; they need a server of their own, too. Raises `StartError`.
    """
    own = bool(env) or model_on_disk(model) is not None
    if url is not None:
        yield _given_server(complete_url(url), model)
    elif not own and (found := _server_of_user(model)) is not None:
        yield found
    else:
        with temporary_server(model, env) as started:
            yield started


def _given_server(url: str, model: str | None) -> str:
    """Raises `StartError` if it cannot be used."""
    served = _served_model(url)
    if served is None:
        raise StartError(f"no Scrivano server answers at {url}: start one with `scrivano serve`, or leave out --server")
    if not same_model(model, served):
        raise StartError(f"the server at {url} serves the model {served}, not {model}: leave out --server or --model")
    return url


def _server_of_user(model: str | None) -> str | None:
    """The running server that uses this user's data folder, if it serves the model."""
    holder = DataDirLock.holder(Settings.load().data_dir)
    if holder is None or holder.port is None:
        return None
    url = f"http://{authority(callable_host(str(holder.host)), holder.port)}"
    served = _served_model(url)
    return url if served is not None and same_model(model, served) else None


def same_model(model: str | None, served: str) -> bool:
    """Whether a name means the served model; None means any."""
    try:
        ServedModels((served,)).find(model)
    except ModelNotFound:
        return False
    return True


def complete_url(address: str) -> str:
    """`host` and `host:port` mean a server there, by default on port 8080; a URL stays as it is."""
    if "://" in address:
        return address
    host, _, path = address.partition("/")
    host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
    has_port = re.search(r"[^:]:\d+$|\]:\d+$", host)
    return f"http://{host}{'' if has_port else ':8080'}{'/' if path else ''}{path}"


def _served_model(url: str) -> str | None:
    """The model of the server at this URL. None: no server answers."""
    try:
        with Client(url, timeout=HEALTH_TIMEOUT_S) as client:
            return str(client.health()["model"])
    except (ClientError, KeyError):
        return None
