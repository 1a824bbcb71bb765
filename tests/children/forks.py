"""A forked process that follows its one line of stdin: `echo`, `exit N`, `crash`, `wait`, `raise`.

The file LOADS grows by a byte with each load.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from scrivano.processes import fork_server as forkserver

if "spawn" in os.environ.get("FORKS_TEST", ""):
    forkserver.FORK_IS_SAFE = False


def load() -> int:
    with Path(os.environ["LOADS"]).open("ab") as loads:
        loads.write(b".")
    return os.getpid()


def work(loaded_by: int) -> int:
    match json.loads(sys.stdin.readline())["do"].split():
        case ["echo"]:
            fds = sorted(int(name) for name in os.listdir("/proc/self/fd")) if sys.platform == "linux" else [0, 1, 2, 3]
            print(json.dumps({"type": "echo", "pid": os.getpid(), "loaded_by": loaded_by, "descriptors": fds}))
        case ["exit", code]:
            return int(code)
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        case ["wait"]:
            print(json.dumps({"type": "waiting", "pid": os.getpid()}), flush=True)
            time.sleep(600)
        case ["raise"]:
            raise ValueError("ordered to raise")
    return 0


sys.exit(forkserver.run(load, work))
