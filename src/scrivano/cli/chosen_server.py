"""The server that a command uses: the one that was asked for, one that runs already, or one started for the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from scrivano.cli.temporary_server import model_on_disk, temporary_server
from scrivano.client import Client, ClientError, StatusError
from scrivano.domain.addresses import authority, callable_host
from scrivano.domain.errors import ModelNotFound, StartError
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.server.settings import Settings
from scrivano.submission.model_names import ServedModels

__all__ = ["chosen_server"]

# How long a running server may take to answer its health check before another server is started.
HEALTH_TIMEOUT_S = 2.0

# Whether the server at a URL, with this default model, has another one.
HasModel = Callable[[str, str, str | None], bool]


@contextmanager
def chosen_server(
    url: str | None,
    model: str | None,
    env: Mapping[str, str] | None = None,
    *,
    named: bool = False,
    api_key: str | None = None,
) -> Iterator[str]:
    """The given server, or this user's running server if it has the model, or a temporary one.

    `model`: a name, or the path of a model (with a slash), for which a server is always started. `env`: settings, as
    environment variables; they need a server of their own, too. `named`: each job will name the model, so that it may
    be any of the server's, not its default one only. Raises `StartError`.
    """
    own = bool(env) or model_on_disk(model) is not None
    has_model = partial(_has_model, named=named, api_key=api_key)
    if url is not None:
        yield _given_server(complete_url(url), model, has_model)
    elif not own and (found := _server_of_user(model, has_model)) is not None:
        yield found
    else:
        with temporary_server(model, env) as started:
            yield started


def _given_server(url: str, model: str | None, has_model: HasModel) -> str:
    """Raises `StartError` if it cannot be used."""
    served = _served_model(url)
    if served is None:
        raise StartError(f"no Scrivano server answers at {url}: start one with `scrivano serve`, or leave out --server")
    if not has_model(url, served, model):
        raise StartError(f"the server at {url} serves the model {served}, not {model}: leave out --server or --model")
    return url


def _server_of_user(model: str | None, has_model: HasModel) -> str | None:
    """The running server that uses this user's data folder, if it serves the model."""
    holder = DataDirLock.holder(Settings.load().data_dir)
    if holder is None or holder.port is None:
        return None
    url = f"http://{authority(callable_host(str(holder.host)), holder.port)}"
    served = _served_model(url)
    return url if served is not None and has_model(url, served, model) else None


def _has_model(url: str, default: str, model: str | None, *, named: bool, api_key: str | None) -> bool:
    """Whether a server can be used for the model. If it refuses the key, the first job tells so."""
    if same_model(model, default) or not named:
        return same_model(model, default)
    try:
        with Client(url, api_key=api_key, timeout=HEALTH_TIMEOUT_S) as client:
            return any(model == one or same_model(model, one) for one in client.models())
    except StatusError:
        return True
    except ClientError:
        return False


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
