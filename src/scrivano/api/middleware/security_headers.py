"""Response headers that protect browsers: no scripts, no referrer, and no frames but those that are allowed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecurityHeaders", "no_access", "page_policy"]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# What the older header can say. A browser that knows both uses the policy; naming other origins takes the policy alone.
FRAME_OPTIONS: Mapping[tuple[str, ...], str] = {(): "DENY", ("self",): "SAMEORIGIN"}


def no_access(frame_ancestors: Sequence[str] = ()) -> str:
    """The policy of every response that is not a page. `frame_ancestors`: see `HttpOptions`."""
    ancestors = " ".join("'self'" if one == "self" else one for one in frame_ancestors) or "'none'"
    return f"default-src 'none'; frame-ancestors {ancestors}; base-uri 'none'; form-action 'none'"


def page_policy(html: str, frame_ancestors: Sequence[str] = ()) -> str:
    """The policy of a page that runs its own inline scripts, unchanged, and script files of this server."""
    inline = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline)
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    # Swagger UI sets styles on its elements, and its icons are data: URLs.
    page = f"script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return f"{no_access(frame_ancestors)}; {page}"


class SecurityHeaders:
    """ASGI middleware. Does not replace a header that the route has set.

    `shared`: pages of other origins may embed responses. `frame_ancestors`: see `HttpOptions`.
    """

    def __init__(self, app: ASGIApp, *, shared: bool, frame_ancestors: Sequence[str] = ()) -> None:
        self._app = app
        resources = "cross-origin" if shared else "same-origin"
        frames = FRAME_OPTIONS.get(tuple(frame_ancestors))
        self._headers: Mapping[str, str] = {
            **HEADERS,
            **({"X-Frame-Options": frames} if frames else {}),
            "Content-Security-Policy": no_access(frame_ancestors),
            "Cross-Origin-Resource-Policy": resources,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)
