"""A scripted speakers process. A file `speakers` in the folder (its argument) has its orders, as JSON.

`then`: answer (default), fail, crash, kill, nonsense, hang. `times`: so many requests get that, later ones an answer.
Every request is added to the file `voices`. Of the voices that it finds, all are of one speaker, S1.
"""

import base64
import json
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


def send(**body: object) -> None:
    print(json.dumps(body), flush=True)


def answer(request: dict[str, object]) -> None:
    if request["type"] == "voices":
        send(type="found", id=request["id"], voices=base64.b64encode(b"voices").decode())
    else:
        spool = Path(str(request["path"])).read_bytes()
        chunks = spool.count(b"voices")
        turns = [[20.0 * chunk, 20.0 * chunk + 15, 0] for chunk in range(chunks)]
        speaker = {"id": "S1", "name": None, "centre": base64.b64encode(b"centre").decode()}
        send(type="named", id=request["id"], speakers=[speaker], turns=turns)


for line in sys.stdin:
    request = json.loads(line)
    orders_file = folder / "speakers"
    orders = json.loads(orders_file.read_text()) if orders_file.exists() else {}
    with (folder / "voices").open("a") as log:
        log.write(line)
    seen = len((folder / "voices").read_text().splitlines())
    then = orders.get("then", "answer") if seen <= orders.get("times", 1_000_000) else "answer"
    match then:
        case "answer":
            answer(request)
        case "fail":
            send(type="failed", id=request["id"], message="ordered to fail")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "nonsense":
            print("]", flush=True)
        case "hang":
            time.sleep(600)
