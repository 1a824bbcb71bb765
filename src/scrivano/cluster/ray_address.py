"""Whether something listens at the address of a Ray cluster, and what to check when it cannot be used."""

from __future__ import annotations

import os
import socket
import time

from scrivano.domain.errors import StartError

__all__ = ["check_listening", "unusable"]

# A head that is starting at the same time listens after a few seconds. Ray itself would try for minutes.
WAIT_S = 15.0
TRY_S = 5.0
RETRY_S = 0.5


def check_listening(address: str, wait_s: float = WAIT_S) -> bool:
    """Returns whether this was tried: addresses that are not `host:port` (such as `auto`) are not. Raises `StartError`:
    nothing listens there."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return False
    until = time.monotonic() + wait_s
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=TRY_S).close()
            return True
        except (OSError, OverflowError) as error:
            if time.monotonic() >= until:
                raise StartError(
                    f"RAY_ADDRESS is {address!r}, and nothing answers there ({error}): check that `ray start --head`"
                    " runs there, its address and port, and the firewall"
                ) from error
        time.sleep(RETRY_S)


def unusable(address: str, reason: str) -> StartError:
    """`reason`: what Ray says, which does not mention a token that is refused."""
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    token = "is the one of its head" if named else "is set, as for its head"
    return StartError(
        f"RAY_ADDRESS is {address!r}, and the Ray cluster cannot be used: check that the head runs, that RAY_AUTH_TOKEN"
        f" {token} (with RAY_AUTH_MODE=token), and that Ray and Python have the same versions ({reason})"
    )
