"""What every answer says to browsers: run nothing, show it in no frame, tell nobody where you were."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecurityHeaders", "page_policy"]

# The policy of all that is not meant to be a page.
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": NOTHING,
}


def page_policy(html: str) -> str:
    """For a page whose scripts are its own inline ones, as they are, and files of this server."""
    inline = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline)
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    # Swagger UI sets styles on its elements, and has its icons in data: URLs.
    page = f"script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return f"{NOTHING}; {page}"


class SecurityHeaders:
    """ASGI middleware; a header that a route has set stays. `shared`: other origins' pages may show what is here."""

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
