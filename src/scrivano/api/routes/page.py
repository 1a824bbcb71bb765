"""`/`: the page for people. Its files are in the package, so no other host is contacted."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from scrivano.api.middleware.security_headers import no_access
from scrivano.api.routing import Router

__all__ = ["page_router"]

# In the place of a nonce, in the page as it was built.
NONCE = "__CSP_NONCE__"

# Names of built files contain a hash of their content, except those that other files name.
FOR_EVER = "public, max-age=31536000, immutable"
NAMED = ("icon", "licenses", "manifest", "theme")


def page_router(*, docs: bool, audio_origin: str | None = None, frame_ancestors: Sequence[str] = ()) -> Router:
    """`docs`: programs that ask for `/` are led to `/docs`. `audio_origin`, `frame_ancestors`: see `HttpOptions`."""
    router = Router(tag="page")
    folder = Path(str(files("scrivano") / "web" / "page"))
    assets = StaticFiles(directory=folder)
    page = (folder / "index.html").read_text()
    nothing_else = no_access(frame_ancestors)

    @router.head("/", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    @router.public()
    async def root(request: Request) -> Response:
        if docs and _wants_json(request.headers.get("accept", "")):
            return RedirectResponse("docs")
        nonce = secrets.token_urlsafe(16)
        headers = {
            "Content-Security-Policy": f"{nothing_else}; {_allowed(nonce, audio_origin)}",
            "Cache-Control": "no-store",
            "Vary": "Accept",
        }
        return HTMLResponse(page.replace(NONCE, nonce), headers=headers)

    @router.head("/assets/page/{path:path}", include_in_schema=False)
    @router.get("/assets/page/{path:path}", include_in_schema=False)
    @router.public()
    async def asset(request: Request, path: str) -> Response:
        response = await assets.get_response(path, request.scope)
        response.headers["Cache-Control"] = "no-cache" if path.startswith(NAMED) else FOR_EVER
        return response

    return router


def _wants_json(accept: str) -> bool:
    """Whether a program asks, which the page is no answer for. A browser asks for HTML, curl for anything."""
    return "application/json" in accept and "text/html" not in accept


def _allowed(nonce: str, audio_origin: str | None) -> str:
    """Only files of this server run; the nonce is for the style sheet that the waveform makes for itself."""
    return (
        f"script-src 'self'; style-src 'self' 'nonce-{nonce}'; font-src 'self'; img-src 'self' data:;"
        f" connect-src 'self'; media-src 'self' blob:{f' {audio_origin}' if audio_origin else ''}; manifest-src 'self'"
    )
