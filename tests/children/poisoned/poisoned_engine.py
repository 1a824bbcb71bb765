"""An engine child that crashes over chunks whose language is said to be Latin. Else it is the real one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.engines.engine import AudioChunk, Engine
from scrivano.engines.worker import Send, main, open_engine
from scrivano.processes.messages import Load

POISON = "la"


class PoisonedEngine:
    """Implements `Engine`."""

    def __init__(self, engine: Engine) -> None:
        self.warm_up, self.close = engine.warm_up, engine.close
        self._engine = engine

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        if any(chunk.language == POISON for chunk in batch):
            signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
        return self._engine.decode(batch, options)


def _open(request: Load, send: Send) -> Engine:
    return PoisonedEngine(open_engine(request, send))


if __name__ == "__main__":
    main(_open)
