"""An engine child that reads its audio as a real one, and then sleeps instead of decoding: for `benchmarks.cluster`.

`SIMULATED_CHUNK_S`: how long a chunk takes. `SIMULATED_LOG`: a file that gets a line of JSON for each batch.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.engine import AudioChunk, Engine
from scrivano.engines.worker import Requests, Send, Worker, read_requests, serve
from scrivano.processes.channel import Channel
from scrivano.processes.child import die_with_parent
from scrivano.processes.messages import EngineMessage, EngineRequest, Load, encoder, parser

# As fast speech has them, so that results are as large as real ones.
WORDS_A_SECOND = 3


class SleepingEngine:
    """Implements `Engine`."""

    def __init__(self, chunk_s: float, log: Path) -> None:
        self._chunk_s = chunk_s
        self._log = log

    def warm_up(self) -> None: ...

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        began = time.time()
        time.sleep(self._chunk_s * len(batch))
        record = {"engine": os.getpid(), "began": began, "ended": time.time(), "chunks": len(batch)}
        with self._log.open("a") as log:
            log.write(json.dumps(record) + "\n")
        return [_result(chunk) for chunk in batch]

    def close(self) -> None: ...


def _result(chunk: AudioChunk) -> ChunkResult:
    seconds = len(chunk.audio) / SAMPLE_RATE
    count = max(1, int(seconds * WORDS_A_SECOND))
    times = [seconds * number / count for number in range(count + 1)]
    words = tuple(
        Word(text=f" word{number}", start=times[number], end=times[number + 1], probability=0.9)
        for number in range(count)
    )
    text = "".join(word.text for word in words)
    segment = Segment(start=0.0, end=seconds, text=text, words=words, tokens=tuple(range(2 * count)))
    return ChunkResult(language="en", language_probability=1.0, segments=(segment,))


def _open(request: Load, send: Send) -> Engine:
    return SleepingEngine(float(os.environ["SIMULATED_CHUNK_S"]), Path(os.environ["SIMULATED_LOG"]))


def main() -> None:
    die_with_parent()
    channel = Channel[EngineRequest, EngineMessage](parser(EngineRequest), encoder(EngineMessage))
    worker, requests, urgent = Worker(channel.send, _open), Requests(), Requests()
    threading.Thread(target=read_requests, args=(channel, requests, urgent), daemon=True).start()
    threading.Thread(target=serve, args=(worker, urgent), daemon=True).start()
    serve(worker, requests)


if __name__ == "__main__":
    main()
