"""A TCP proxy that cuts connections after a number of bytes, as a bad network does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

PIECE = 16 * 1024


class CuttingProxy:
    """Forwards to `target`. Each connection gets the next of `budgets`: after that many bytes of the client it is cut
    in both directions, and `on_cut` is called before. When there are no more budgets, connections are not cut.

    `resets`: data that the server has not read yet is lost, as when the client's machine fails.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.budgets: Iterator[int] = iter(())
        self.on_cut: Callable[[], object] = lambda: None
        self.resets = True
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, next(self.budgets, None)), daemon=True).start()

    def _serve(self, client: socket.socket, budget: int | None) -> None:
        with client, suppress(OSError), closing(socket.create_connection(self.target)) as server:
            back = threading.Thread(target=self._backward, args=(server, client), daemon=True)
            back.start()
            self._forward(client, server, budget)
            back.join(5)

    def _forward(self, client: socket.socket, server: socket.socket, budget: int | None) -> None:
        while budget is None or budget > 0:
            data = client.recv(PIECE if budget is None else min(PIECE, budget))
            if not data:
                server.shutdown(socket.SHUT_WR)
                return
            server.sendall(data)
            budget = None if budget is None else budget - len(data)
        self.cuts += 1
        self.on_cut()
        if not self.resets:
            server.shutdown(socket.SHUT_WR)
            return
        for end in (client, server):
            end.shutdown(socket.SHUT_RD)  # Wakes the thread that reads from it.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    def _backward(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(PIECE):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def cutting(target: tuple[str, int]) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
