"""Start Scrivano in Home Assistant: the add-on's options become settings, and Home Assistant learns of Wyoming."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

WYOMING_PORT = 10300
READY_S = 120


def main() -> None:
    options = json.loads(Path("/data/options.json").read_text())
    token = os.environ.get("SUPERVISOR_TOKEN")
    if token and os.fork() == 0:  # The child announces; this process becomes the server.
        announce(token)
        os._exit(0)
    os.execvpe("scrivano", ["scrivano", "serve"], {**os.environ, **settings(options)})


def settings(options: Mapping[str, str]) -> dict[str, str]:
    """The server's variables for the add-on's options."""
    chosen = {
        "DATA_DIR": "/data/scrivano",
        "HF_HOME": "/data/models",
        "WYOMING_PORT": str(WYOMING_PORT),
        # The side bar shows the page in a frame of Home Assistant's own origin.
        "PAGE_FRAME_ANCESTORS": "self",
        "WHISPER_MODEL": options.get("model", ""),
        "WATCH_FOLDER": options.get("watch_folder", ""),
    }
    return {name: value for name, value in chosen.items() if value}


def announce(token: str) -> None:
    """Wait until Wyoming is served, then tell the supervisor where."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", WYOMING_PORT), 1).close()
            break
        except OSError:
            time.sleep(1)
    body = {"service": "wyoming", "config": {"uri": f"tcp://{socket.gethostname()}:{WYOMING_PORT}"}}
    request = urllib.request.Request(
        "http://supervisor/discovery",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


if __name__ == "__main__":
    main()
