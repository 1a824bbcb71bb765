"""The application's edge: what goes for every request, around all routes, and what the documentation says of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from scrivano.api.middleware.authorization import Access
from scrivano.api.middleware.body_limits import ANY_PACE, LimitedBodies, Pace
from scrivano.api.middleware.security_headers import SecurityHeaders
from scrivano.api.openapi import DescribedApp, error_body
from scrivano.api.rules import is_open, needed, takes_recording
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.rate_limiter import RateLimiter

__all__ = ["METHODS", "Application", "Edge"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What scripts of the allowed origins may read of an answer's header, beside what they always may.
EXPOSED = (
    "Content-Disposition",
    "Location",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "WWW-Authenticate",
    "X-Job-Id",
)

PREFLIGHT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`keys` None: everybody may do everything. `origins`: whose pages' scripts may call, `*` for all. `docs`: there
    is a page that shows the routes. `pace`: how slowly bodies may come."""

    keys: KeyRing | None = None
    origins: Sequence[str] = ()
    docs: bool = True
    pace: Pace = ANY_PACE


class Application(DescribedApp):
    """FastAPI with an edge that also goes around what it makes of failures (its own middleware would stand inside)."""

    def __init__(self, edge: Edge, **options: Any) -> None:
        super().__init__(openapi_url="/openapi.json" if edge.docs else None, **options)
        self._edge = edge

    def build_middleware_stack(self) -> ASGIApp:
        edge, app = self._edge, super().build_middleware_stack()
        if edge.keys is not None:
            app = Access(app, edge.keys, RateLimiter(time.monotonic))
        app = LimitedBodies(app, edge.pace)
        if edge.origins:
            # Outside of the keys: browsers ask whether they may send one, without one.
            app = CORSMiddleware(
                app,
                allow_origins=edge.origins,
                allow_methods=METHODS,
                allow_headers=["*"],
                expose_headers=EXPOSED,
                max_age=PREFLIGHT_S,
            )
        return SecurityHeaders(app, shared=bool(edge.origins))

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    self._describe(path, method.upper(), operation)
            if self._edge.keys is not None:
                document["components"]["securitySchemes"] = _SCHEMES
        assert self.openapi_schema is not None
        return self.openapi_schema

    def _describe(self, path: str, method: str, operation: dict[str, Any]) -> None:
        answers = {}
        if takes_recording(method, path):
            answers["408"] = "The body came too slowly, or no more; the connection is closed."
        if self._edge.keys is not None and is_open(path):
            operation["security"] = []
        elif self._edge.keys is not None:
            operation["security"] = [{name: []} for name in _SCHEMES]
            answers["401"] = "No API key, or one that is not known here."
            answers["403"] = f"The key lacks the scope: {' or '.join(sorted(needed(method, path)))}."
            answers["429"] = "A limit of the key, or of the server, is reached; `Retry-After` says when to come back."
        for status, description in answers.items():
            operation["responses"].setdefault(status, {**error_body(path), "description": description})


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer scv_…`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
