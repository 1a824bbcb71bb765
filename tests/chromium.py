"""Chromium, driven by Playwright, without a network: for tests of the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from installed import must_be_there
from playwright.sync_api import Browser, CDPSession, ConsoleMessage, Page, Request, Response, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

# A busy machine is not a bug.
TIMEOUT_MS = 120_000

FLAGS = (
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # A microphone that gives a tone, and leave to use it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert not must_be_there("browser"), "CI installs Chromium"
        pytest.skip("no Chromium here")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Window:
    """A page, and what went wrong in it: errors on the console, and requests to other hosts."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self.refused: list[str] = []
        self._origin = origin
        self._profiler: CDPSession | None = None
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._note_request)
        page.on("response", self._note_response)

    def busy_s(self) -> float:
        """Seconds of processor time that the page's main thread has used. Other programs do not slow it."""
        if self._profiler is None:
            self._profiler = self.page.context.new_cdp_session(self.page)
            self._profiler.send("Performance.enable", {"timeDomain": "threadTicks"})
        metrics = self._profiler.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    def described(self) -> str:
        """For a failure that may not come again."""
        shown = "nothing"
        with suppress(PlaywrightError):
            shown = self.page.locator("body").inner_text(timeout=5000)
        return f"At {self.page.url}\nfaults: {self.faults}\nrefused: {self.refused}\nshown:\n{shown[:4000]}"

    def _note_console(self, message: ConsoleMessage) -> None:
        # What the server refuses is in `refused`; the test says whether it may be.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "blob:", "data:")):
            self.faults.append(f"a request to {request.url}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400:
            path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", response.url.removeprefix(self._origin).partition("?")[0])
            self.refused.append(f"{response.status} {path}")


@contextmanager
def window(browser: Browser, origin: str, **options: Any) -> Iterator[Window]:
    """A page with a profile of its own. Fails at the end if something went wrong in it."""
    defaults: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}, "locale": "en-GB"}
    context = browser.new_context(**defaults | options)
    opened = Window(context.new_page(), origin)
    try:
        yield opened
        assert not opened.faults, opened.faults
    except Exception as error:
        error.add_note(opened.described())
        raise
    finally:
        context.close()
