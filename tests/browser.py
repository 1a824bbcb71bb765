"""A headless Chromium, driven through chromedriver (W3C WebDriver), without a network."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from served import until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

OFFLINE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

# The key of an element's id in the protocol.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window. Scripts are bodies of functions; they get `arguments` and return a value."""

    def __init__(self, http: httpx2.Client, session_id: str) -> None:
        self._http = http
        self._session = f"/session/{session_id}"

    def open(self, url: str) -> None:
        self._call("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._call("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """As a user does: scripts that it starts may play sound."""
        element = self._call("element", {"using": "css selector", "value": selector})
        self._call(f"element/{element[ELEMENT]}/click", {})

    def choose_file(self, selector: str, path: Path) -> None:
        element = self._call("element", {"using": "css selector", "value": selector})
        self._call(f"element/{element[ELEMENT]}/value", {"text": str(path)})

    def screenshot(self, path: Path) -> None:
        answer = self._http.get(f"{self._session}/screenshot")
        path.write_bytes(base64.b64decode(answer.json()["value"]))

    def _call(self, command: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(f"{self._session}/{command}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start chromedriver and one window; both end with the block."""
    driver = subprocess.Popen([str(CHROMEDRIVER), "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        port = next(line.split()[-1].rstrip(".") for line in driver.stdout if "started successfully on port" in line)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            options = {"binary": CHROMIUM, "args": [*OFFLINE, f"--user-data-dir={profile}", "--window-size=1200,1600"]}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            answer = until(lambda: http.post("/session", json=wanted))
            session_id = answer.json()["value"]["sessionId"]
            yield Browser(http, session_id)
            http.delete(f"/session/{session_id}")
    finally:
        driver.terminate()
        driver.wait(60)
        driver.stdout.close()
