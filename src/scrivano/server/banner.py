"""What a person at a terminal is told when the server starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scrivano import __version__
from scrivano.domain.addresses import authority, callable_host

__all__ = ["Started", "banner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """`host` and `port`: where the server listens. `page`, `docs`: it serves `/`, `/docs`.
    `model`: the default one."""

    host: str
    port: int
    page: bool
    docs: bool
    model: str
    data_dir: Path


def banner(started: Started) -> str:
    """The version, an address that can be opened on this machine, the model and the data folder."""
    url = f"http://{authority(callable_host(started.host), started.port)}"
    lines = [
        f"Scrivano {__version__}",
        "",
        f"  {'page   ' if started.page else 'address'}  {url}",
        *([f"  HTTP     {url}/docs"] if started.docs else []),
        f"  model    {started.model}, loaded when it is needed",
        f"  data     {started.data_dir}",
        "  stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)
