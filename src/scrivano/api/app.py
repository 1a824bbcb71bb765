"""The application: its routes, the middleware around them, and its error responses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp

from scrivano import __version__
from scrivano.api.compat import openai, whisper_asr, whisper_cpp
from scrivano.api.errors import Problem, error_response, invalid_request, problem_of
from scrivano.api.event_schemas import add_events
from scrivano.api.middleware.authorization import Authorization
from scrivano.api.middleware.blank_parameters import BlankParameters
from scrivano.api.middleware.body_limits import ANY_RATE, BodyLimits, BodyRate, Uploading
from scrivano.api.middleware.request_telemetry import RequestTelemetry, RequestTelemetryOptions
from scrivano.api.middleware.security_headers import SecurityHeaders
from scrivano.api.openapi import complete
from scrivano.api.routes import (
    audio,
    docs,
    events,
    health,
    history,
    jobs,
    models,
    page,
    segments,
    speakers,
    stream_tokens,
    transcripts,
    uploads,
    versions,
    voices,
    waveforms,
    webhooks,
)
from scrivano.api.routing import PolicyRoute, RouteMatching, Router, policy_of
from scrivano.api.services import Services
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.rate_limiter import RateLimiter
from scrivano.auth.stream_tokens import StreamTokens
from scrivano.domain.errors import ScrivanoError
from scrivano.telemetry.log_context import set_job

__all__ = ["HttpOptions", "create_app"]

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Submit a recording of any length, follow it live, get its transcript.

Errors are `{"error": "<what went wrong and what to do>"}`. Times are UTC, ISO 8601, ending in `Z`; audio times are
seconds from the start of the file.
"""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Response headers that scripts of the allowed origins may read, in addition to those that every script may read.
EXPOSED_HEADERS = (
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
    "X-Error",
    "X-Job-Id",
)

# Names that browsers resolve to this machine without asking a DNS server, so that no other page can have them.
LOOPBACK_ORIGIN = r"https?://(localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"

# How long a browser may cache the response to a preflight request; Chromium allows 7200 s at most.
PREFLIGHT_S = 600

# In the order of the OpenAPI document.
ROUTERS = (
    jobs.router,
    uploads.router,
    events.router,
    audio.router,
    stream_tokens.router,
    speakers.router,
    voices.router,
    transcripts.router,
    versions.router,
    segments.router,
    waveforms.router,
    models.router,
    webhooks.router,
    health.router,
    history.router,
    openai.router,
    whisper_asr.router,
    whisper_cpp.router,
)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How the application is exposed.

    `keys` None: no API keys are needed. `origins`: web origins whose scripts may call; `*`: all; `loopback`: pages of
    this machine, on any port. `frame_ancestors`: web origins whose pages may show this server in a frame; `self`: its
    own origin, `*`: all. `docs`: serve the documentation page. `page`: serve the page for people. `audio_origin`:
    where its player may read recordings, besides here. `body_rate`: how slowly request bodies may arrive. `uploading`:
    those with a recording, to be stopped with the server. `telemetry` None: requests are not recorded. `shared_take`:
    counts the requests of a key at all servers, see `Authorization`.
    """

    keys: KeyRing | None = None
    origins: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()
    docs: bool = True
    page: bool = True
    audio_origin: str | None = None
    body_rate: BodyRate = ANY_RATE
    uploading: Uploading = field(default_factory=Uploading)
    telemetry: RequestTelemetryOptions | None = None
    shared_take: Callable[[str, int], float] | None = None


def create_app(services: Services, lifespan: Lifespan | None = None, options: HttpOptions = HttpOptions()) -> FastAPI:
    app = _Application(
        [*ROUTERS, *_pages(options)],
        options,
        title="Scrivano",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": "."}],  # Relative to the document: it works below any prefix.
        lifespan=lifespan,
    )
    app.state.services = services
    app.add_exception_handler(ScrivanoError, _scrivano_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    return app


def _pages(options: HttpOptions) -> Iterator[Router]:
    if options.page:
        yield page.page_router(
            docs=options.docs, audio_origin=options.audio_origin, frame_ancestors=options.frame_ancestors
        )
    if options.docs:
        yield docs.docs_router(options.frame_ancestors)


class _Application(FastAPI):
    """FastAPI whose middleware also surrounds its error responses (middleware added to FastAPI would be inside)."""

    def __init__(self, routers: Sequence[Router], options: HttpOptions, **described: Any) -> None:
        # The routes themselves, not included routers: matching needs one look at each route.
        routes = [route for router in routers for route in router.routes]
        super().__init__(routes=routes, openapi_url=None, redirect_slashes=False, **described)
        self.router.route_class = PolicyRoute
        self._options = options
        self._error_formats = {router.prefix: router.errors for router in routers if router.prefix}

    def build_middleware_stack(self) -> ASGIApp:
        options, app = self._options, super().build_middleware_stack()
        if options.keys is not None:
            tokens: StreamTokens = self.state.services.stream_tokens
            app = Authorization(app, options.keys, tokens, RateLimiter(time.monotonic), options.shared_take)
        app = BodyLimits(app, options.body_rate, options.uploading)
        if options.origins:
            # Outside of authorization: a browser sends preflight requests without a key.
            app = CORSMiddleware(
                app,
                allow_origins=options.origins,
                allow_origin_regex=LOOPBACK_ORIGIN if "loopback" in options.origins else None,
                allow_methods=METHODS,
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
                max_age=PREFLIGHT_S,
            )
        app = SecurityHeaders(app, shared=bool(options.origins), frame_ancestors=options.frame_ancestors)
        if options.telemetry is not None:
            app = RequestTelemetry(app, options.telemetry)
        app = BlankParameters(app)
        return RouteMatching(app, self.router.routes, self._error_formats)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            routes = [route for route in self.routes if isinstance(route, PolicyRoute) and route.include_in_schema]
            document = super().openapi()
            add_events(document)
            complete(document, routes, keys=self._options.keys is not None)
        assert self.openapi_schema is not None
        return self.openapi_schema


def _scrivano_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ScrivanoError)
    return _error_response(request, problem_of(error))


def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _error_response(request, invalid_request(error.errors()))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and (location := _without_slash(request)):
        return RedirectResponse(location)
    hint = {404: "no such page; /docs lists all routes", 405: "this route does not take that method; see /docs"}
    message = hint.get(error.status_code, error.detail)
    headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers or {}
    return _error_response(request, Problem(status=error.status_code, message=message, headers=headers))


def _without_slash(request: Request) -> str | None:
    """The location of the route without the slash at the end of the path; None if there is none.

    Relative, unlike Starlette's: the path and the host that a proxy shows are not known here.
    """
    path = get_route_path(request.scope).removesuffix("/")
    if path.endswith("/") or not request.url.path.endswith("/"):
        return None
    scope = {**request.scope, "path": request.scope["path"].removesuffix("/")}
    if all(route.matches(scope)[0] is Match.NONE for route in request.app.routes):
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return f"../{quote(path.rpartition('/')[2], safe='')}{query}"


def _allowed_methods(request: Request) -> str:
    """All methods of the path: Starlette names those of the first route that has it."""
    of_path = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(method for method in METHODS if any(method in route.methods for route in of_path))


def _internal_error(request: Request, error: Exception) -> Response:
    if job_id := request.path_params.get("job_id"):
        set_job(job_id)
    logger.error("a request failed: %s %s", request.method, request.url.path, exc_info=error)
    return _error_response(request, Problem.internal())


def _error_response(request: Request, problem: Problem) -> Response:
    return error_response(policy_of(request.scope).errors, problem)
