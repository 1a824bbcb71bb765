"""A scripted media process: the bytes of the recording are its orders, as JSON.

`chunks`: [start, end] of each chunk in samples. `then`: end (default), error, full, crash, hang, silent, nonsense.
`crashes`, `full`: how many starts crash, or find the disk full, before one follows `then`; a file counts them.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from scrivano.processes.fork_server import run


def send(*bodies: dict[str, object]) -> None:
    """In one write: what depends on how many chunks are known is the same on every machine."""
    os.write(1, b"".join(json.dumps(body).encode() + b"\n" for body in bodies))


def work(_: None) -> int:
    line = sys.stdin.readline()
    if line:
        request = json.loads(line)
        orders = json.loads(Path(request["source"]).read_bytes())
        target = Path(request["target"])
        seconds = max((end for _, end in orders.get("chunks", [])), default=0) / 16000
        target.write_bytes(b"\0" * int(seconds * 32000))
        chunks = [{"type": "chunk", "index": n, "pieces": [piece]} for n, piece in enumerate(orders.get("chunks", []))]
        starts = target.parent.parent / f"{Path(request['source']).name}.starts"
        with starts.open("ab") as counter:
            counter.write(b".")
        then = orders.get("then", "end")
        if starts.stat().st_size <= orders.get("crashes", 0):
            then = "crash"
        if starts.stat().st_size <= orders.get("full", 0):
            then = "full"
        last: dict[str, dict[str, object]] = {
            "end": {"type": "end", "duration": seconds, "chunks": len(chunks)},
            "error": {"type": "error", "code": "not_media", "message": "ordered to refuse"},
            "full": {"type": "error", "code": "storage_full", "message": "ordered to be full"},
        }
        send({"type": "probe", "duration": seconds}, *chunks, *([last[then]] if then in last else []))
        match then:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(600)
            case "nonsense":
                os.write(1, b"]\n")
    return 0


sys.exit(run(lambda: None, work))
