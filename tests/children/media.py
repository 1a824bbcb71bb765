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


def send(**body: object) -> None:
    print(json.dumps(body), flush=True)


def work(_: None) -> int:
    line = sys.stdin.readline()
    if line:
        request = json.loads(line)
        orders = json.loads(Path(request["source"]).read_bytes())
        target = Path(request["target"])
        seconds = max((end for _, end in orders.get("chunks", [])), default=0) / 16000
        target.write_bytes(b"\0" * int(seconds * 32000))
        send(type="probe", duration=seconds)
        for index, piece in enumerate(orders.get("chunks", [])):
            send(type="chunk", index=index, pieces=[piece])
        starts = target.parent.parent / f"{Path(request['source']).name}.starts"
        with starts.open("ab") as counter:
            counter.write(b".")
        then = orders.get("then", "end")
        if starts.stat().st_size <= orders.get("crashes", 0):
            then = "crash"
        if starts.stat().st_size <= orders.get("full", 0):
            then = "full"
        match then:
            case "end":
                send(type="end", duration=seconds, chunks=len(orders.get("chunks", [])))
            case "error":
                send(type="error", code="not_media", message="ordered to refuse")
            case "full":
                send(type="error", code="storage_full", message="ordered to be full")
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(600)
            case "nonsense":
                print("]", flush=True)
    return 0


sys.exit(run(lambda: None, work))
