"""Ports for programs that must be told one, and for what closes a port and opens it again."""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]

# Below the ports that systems give to connections and to listeners of port 0 (from 32768 or 49152 on): one of those may
# be taken by any other test before the program has it.
LOWEST, HIGHEST = 20_000, 32_000


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    while True:
        # At random, since other processes of the tests look for one, too; whatever a test has seeded.
        port = random.SystemRandom().randrange(LOWEST, HIGHEST)
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
