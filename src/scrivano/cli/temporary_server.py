"""A server for the duration of one command, with a free port and a temporary data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scrivano.domain.errors import StartError

# How long the server may take to start: a slow disk may need many seconds to read the Python packages.
START_S = 60.0

# How long it may take to stop before it is killed.
STOP_S = 15.0


def model_on_disk(model: str | None) -> Path | None:
    """The folder or file that `--model` names instead of a model: it has a slash, and is there."""
    path = None if model is None or "/" not in model else Path(model).expanduser().resolve()
    return path if path is not None and path.exists() else None


@contextmanager
def temporary_server(model: str | None = None, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start `scrivano serve` as a child process and yield its URL. It is stopped in any case.

    `model`: a name, or the path of a model (see `model_on_disk`). `env`: settings, as environment variables. Raises
    `StartError` with the server's error message.
    """
    chosen: Mapping[str, str] = {}
    if (path := model_on_disk(model)) is not None:
        model, chosen = None, {"WHISPER_MODEL": "", "WHISPER_MODEL_PATH": str(path)}
    with tempfile.TemporaryDirectory(prefix="scrivano-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "scrivano", "serve", "--port", "0", "--data-dir", str(Path(folder) / "data")]
        command.append("--while-stdin-is-open")  # If this process is killed, the server stops, too.
        if model:
            command += ["--model", model]
        # In its own session: Ctrl-C must not stop the server before this process has cancelled its jobs.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # This command has no API key, and reads the log. All that the server stores is temporary.
            env={
                **os.environ,
                "KEEP_AUDIO": "true",
                **(env or {}),
                **chosen,
                "API_KEYS_FILE": "",
                "BLOB_URL": "",
                "DATABASE_URL": "",
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "info",
            },
        )
        try:
            yield _wait_for_url(process)
        finally:
            _stop(process)


def _wait_for_url(process: subprocess.Popen[bytes]) -> str:
    """Read the server's URL from its log. The rest is read and discarded: a full pipe would block the server."""
    assert process.stdout is not None
    assert process.stderr is not None
    error_lines: deque[bytes] = deque(maxlen=20)
    errors = threading.Thread(target=error_lines.extend, args=(process.stderr,), daemon=True)
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
    message = b"".join(error_lines).decode(errors="replace").strip().removeprefix("scrivano: ")
    raise StartError(message or f"the server did not start within {START_S:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
