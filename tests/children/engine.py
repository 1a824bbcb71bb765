"""An engine child that does as it is told: it speaks the real wire, decodes nothing, crashes, hangs and lies.

Arguments: a folder that outlives it, and a JSON object of orders:
`load`: what each start does in turn, the last one for good: ok, download, memory, model, crash, hang.
`decode`: what each batch does in turn over all starts, the last one for good: ok, slow, crash, kill, hang,
very slow, nonsense, few, other id, no fields, not a number, out of range, backwards, input, memory, device.
`heard`: languages and their probabilities, by a chunk's first sample; English elsewhere, with certainty.
`poison`: pieces of which a chunk's presence makes the process crash, as [start, end].
`secs`: how long each chunk took, as it says.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def order(folder: Path, name: str, orders: list[str]) -> str:
    """The next one; a file's length counts, so that it survives the process."""
    with (folder / name).open("a+b") as counter:
        counter.write(b".")
        counter.flush()
        return orders[min(os.fstat(counter.fileno()).st_size, len(orders)) - 1]


LIES: dict[str, dict[str, float]] = {
    "other id": {},
    "not a number": {"avg_logprob": float("nan")},
    "out of range": {"end": 1e9},
    "backwards": {"start": 2.0, "end": 1.0},
}


def say(**body: object) -> None:
    os.write(1, json.dumps(body).encode() + b"\n")


def result(chunk: dict[str, Any], heard: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A chunk's text says in which language it was decoded, unless that is English."""
    start = chunk["pieces"][0][0]
    seconds = sum(end - start for start, end in chunk["pieces"]) / 16000
    probabilities = heard.get(str(start), {"en": 1.0})
    language = chunk["language"] or max(probabilities, key=probabilities.__getitem__)
    text = f"from {start}" + ("" if language == "en" else f" in {language}")
    words = [{"text": text, "start": 0.0, "end": seconds, "probability": 1.0}]
    segment = {"start": 0.0, "end": seconds, "text": text, "words": words}
    found = {"language": language, "language_probability": 1.0 if chunk["language"] else probabilities[language]}
    return found | {"language_probabilities": {} if chunk["language"] else probabilities, "segments": [segment]}


def crash() -> None:
    """At once: one that goes to the process may let this thread go on for a moment."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)


def disobey(what: str, id: int | None) -> None:
    match what:
        case "crash":
            crash()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)
        case "nonsense":
            os.write(1, b"I am not JSON\n")
        case "few":
            say(type="result", id=id, results=[], seconds=0.0)
        case "no fields":
            say(type="result")
        case kind:
            say(type="failed", id=id, kind=kind, message=f"told to fail with {kind}")


def handle(message: dict[str, Any], folder: Path, orders: dict[str, Any]) -> None:
    if message["type"] == "load":
        (folder / "load messages").open("a").write(json.dumps(message) + "\n")
        what = order(folder, "loads", orders.get("load", ["ok"]))
        if what == "download":
            say(type="downloading", done_bytes=10, total_bytes=100)
            time.sleep(1)
        if what in ("ok", "download"):
            say(type="loaded")
        else:
            disobey(what, None)
    elif message["type"] == "decode":
        (folder / "batches").open("a").write(json.dumps(message["chunks"]) + "\n")
        (folder / "processes").open("a").write(f"{os.getpid()}\n")
        (folder / "options").open("a").write(json.dumps(message["options"]) + "\n")
        poison = orders.get("poison", [])
        if any(piece in poison for chunk in message["chunks"] for piece in chunk["pieces"]):
            crash()
        what = order(folder, "decodes", orders.get("decode", ["ok"]))
        if what == "slow":
            time.sleep(0.1)
        if what == "very slow":
            time.sleep(1)
        if what in ("ok", "slow", "very slow", *LIES):
            results = [result(chunk, orders.get("heard", {})) for chunk in message["chunks"]]
            for name, value in LIES.get(what, {}).items():
                results[0]["segments"][0][name] = value
            id = message["id"] + (what == "other id")
            say(type="result", id=id, results=results, seconds=len(results) * orders.get("secs", 0.0))
        else:
            disobey(what, message["id"])


def main() -> None:
    folder, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as beside:
        for line in sys.stdin:
            message = json.loads(line)
            (beside if message.get("options", {}).get("urgent") else first).submit(handle, message, folder, orders)
        os._exit(0)


main()
