"""A server of one's own, for the time of one command, on a free port and a folder that goes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scrivano.domain.errors import StartError

START_S = 60.0
STOP_S = 15.0


@contextmanager
def own_server(model: str | None = None) -> Iterator[str]:
    """Start `scrivano serve` as a child; yields its URL, and ends it whatever happens.

    Raises `StartError` with the server's own reason.
    """
    with tempfile.TemporaryDirectory(prefix="scrivano-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "scrivano", "serve", "--port", "0", "--data-dir", str(Path(folder) / "data")]
        command.append("--while-stdin-is-open")  # if this process is killed, its server ends, too
        if model:
            command += ["--model", model]
        # A terminal's interrupt goes to the whole group; this process decides when its server ends.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "API_KEYS_FILE": ""},  # it is for this command only, which has none of the keys
        )
        try:
            yield _url(process)
        finally:
            _end(process)


def _url(process: subprocess.Popen[bytes]) -> str:
    """The address that the server's log names, after which the log is read on and thrown away."""
    assert process.stdout is not None
    assert process.stderr is not None
    complaint: deque[bytes] = deque(maxlen=20)
    errors = threading.Thread(target=complaint.extend, args=(process.stderr,), daemon=True)
    errors.start()
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    for line in process.stdout:
        if b'"listening"' in line:
            watchdog.cancel()
            threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            url: str = json.loads(line)["url"]
            return url
    watchdog.cancel()
    errors.join(1.0)
    raise StartError(b"".join(complaint).decode(errors="replace").strip() or "the server did not start")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
