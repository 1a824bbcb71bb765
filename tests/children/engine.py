"""A scripted engine process: it sends the real messages but decodes nothing; it can crash, hang and send wrong results.

Arguments: a folder that exists longer than the process, and a JSON object of orders:
`load`: what each start does in turn; the last one repeats: ok, told, download, memory, model, crash, hang. `told`
loads once there is a file `told` in the folder; `download` reports one, and loads then, too.
`node`: where it says that it runs, as a child in a cluster does.
`decode`: what each batch does in turn, over all starts; the last one repeats: ok, told, slow, crash, kill, hang,
very slow, nonsense, few, other id, no fields, not a number, out of range, backwards, input, memory, device.
`languages`: languages and their probabilities, by a chunk's first sample; for other chunks, certainly English.
`poison`: pieces, as [start, end], that make the process crash.
`nodes`: on which node each start is, in turn; the last one repeats. Batches crash on the node that the file "bad node"
names.
`secs`: the seconds that it reports for each chunk.
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

TURN = threading.Lock()
NODE: list[str] = []


def order(folder: Path, name: str, orders: list[str]) -> str:
    """The next order. The length of a file counts them, so that the count survives the process."""
    with (folder / name).open("a+b") as counter:
        counter.write(b".")
        counter.flush()
        return orders[min(os.fstat(counter.fileno()).st_size, len(orders)) - 1]


WRONG_RESULTS: dict[str, dict[str, float]] = {
    "other id": {},
    "not a number": {"avg_logprob": float("nan")},
    "out of range": {"end": 1e9},
    "backwards": {"start": 2.0, "end": 1.0},
}


def send(**body: object) -> None:
    os.write(1, json.dumps(body).encode() + b"\n")


def result(chunk: dict[str, Any], languages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The text of a chunk names the language in which it was decoded, unless it is English."""
    start = chunk["pieces"][0][0]
    seconds = sum(end - start for start, end in chunk["pieces"]) / 16000
    probabilities = languages.get(str(start), {"en": 1.0})
    language = chunk["language"] or max(probabilities, key=probabilities.__getitem__)
    text = f"from {start}" + ("" if language == "en" else f" in {language}")
    words = [{"text": text, "start": 0.0, "end": seconds, "probability": 1.0}]
    segment = {"start": 0.0, "end": seconds, "text": text, "words": words}
    found = {"language": language, "language_probability": 1.0 if chunk["language"] else probabilities[language]}
    return found | {"language_probabilities": {} if chunk["language"] else probabilities, "segments": [segment]}


def crash() -> None:
    """Crash at once. A signal to the whole process might let this thread continue for a moment."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)


def wait_until_told(folder: Path) -> None:
    """A test goes on when it has seen what it waited for, however long that takes."""
    while not (folder / "told").exists():
        time.sleep(0.01)


def misbehave(what: str, id: int | None) -> None:
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
            send(type="result", id=id, results=[], seconds=0.0)
        case "no fields":
            send(type="result")
        case kind:
            send(type="failed", id=id, kind=kind, message=f"ordered to fail with {kind}")


def handle(message: dict[str, Any], folder: Path, orders: dict[str, Any]) -> None:
    if message["type"] == "load":
        (folder / "load messages").open("a").write(json.dumps(message) + "\n")
        if "nodes" in orders:
            NODE.append(order(folder, "places", orders["nodes"]))
            send(type="placed", node=NODE[-1])
        what = order(folder, "loads", orders.get("load", ["ok"]))
        if "node" in orders:
            send(type="placed", node=orders["node"])
        if what == "download":
            send(type="downloading", done_bytes=10, total_bytes=100)
        if what in ("told", "download"):
            wait_until_told(folder)
        if what in ("ok", "told", "download"):
            send(type="loaded")
        else:
            misbehave(what, None)
    elif message["type"] == "decode":
        poison = orders.get("poison", [])
        poisoned = any(piece in poison for chunk in message["chunks"] for piece in chunk["pieces"])
        poisoned = poisoned or ((folder / "bad node").exists() and [(folder / "bad node").read_text()] == NODE)
        with TURN:
            what = "crash" if poisoned else order(folder, "decodes", orders.get("decode", ["ok"]))
            (folder / "processes").open("a").write(f"{os.getpid()}\n")
            (folder / "options").open("a").write(json.dumps(message["options"]) + "\n")
            # The last of these: a test that sees a batch may rely on it having its order.
            (folder / "batches").open("a").write(json.dumps(message["chunks"]) + "\n")
        if what == "told":
            wait_until_told(folder)
        if what == "slow":
            time.sleep(0.1)
        if what == "very slow":
            time.sleep(1)
        if what in ("ok", "told", "slow", "very slow", *WRONG_RESULTS):
            results = [result(chunk, orders.get("languages", {})) for chunk in message["chunks"]]
            for name, value in WRONG_RESULTS.get(what, {}).items():
                results[0]["segments"][0][name] = value
            id = message["id"] + (what == "other id")
            send(type="result", id=id, results=results, seconds=len(results) * orders.get("secs", 0.0))
        else:
            misbehave(what, message["id"])


def main() -> None:
    folder, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as urgent:
        for line in sys.stdin:
            message = json.loads(line)
            (urgent if message.get("options", {}).get("urgent") else first).submit(handle, message, folder, orders)
        os._exit(0)


main()
