"""Addresses on which servers listen, as they are shown and called."""

from __future__ import annotations

__all__ = ["authority", "callable_host"]

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def authority(host: str, port: int) -> str:
    """As in a URL: `127.0.0.1:8080`, `[::1]:8080`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def callable_host(host: str) -> str:
    """Where a server can be called from its own machine that listens on `host`, which may be all addresses."""
    return _ANY.get(host, host)
