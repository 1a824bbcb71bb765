"""Response headers that protect browsers: no scripts, no frames, no referrer."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecurityHeaders", "page_policy"]

# The policy of every response that is not a page.
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": NOTHING,
}


def page_policy(html: str) -> str:
    """The policy of a page that runs its own inline scripts, unchanged, and script files of this server."""
    inline = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline)
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    # Swagger UI sets styles on its elements, and its icons are data: URLs.
    page = f"script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return f"{NOTHING}; {page}"


class SecurityHeaders:
    """ASGI middleware. Does not replace a header that the route has set.

    `shared`: pages of other origins may embed responses.
    """

    def __init__(self, app: ASGIApp, *, shared: bool) -> None:
        self._app = app
        resources = "cross-origin" if shared else "same-origin"
        self._headers: Mapping[str, str] = {**HEADERS, "Cross-Origin-Resource-Policy": resources}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)
