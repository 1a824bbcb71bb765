"""The application: its routes, its errors as JSON, its documentation without a foreign host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Match

from scrivano import __version__
from scrivano.api.compat import openai, whisper_asr, whisper_cpp
from scrivano.api.edge import METHODS, Application, Edge
from scrivano.api.errors import Problem, answer, problem_of
from scrivano.api.middleware.security_headers import page_policy
from scrivano.api.routes import audio, events, health, jobs, models, transcripts, uploads, webhooks
from scrivano.api.services import Services
from scrivano.domain.errors import ScrivanoError
from scrivano.telemetry.log_context import set_job

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Submit a recording of any length, follow it live, get its transcript.

Errors are `{"error": "<what went wrong and what to do>"}`. Times are UTC, ISO 8601, ending in `Z`; audio times are
seconds from the start of the file.
"""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


NO_EDGE = Edge()


def create_app(services: Services, lifespan: Lifespan | None = None, edge: Edge = NO_EDGE) -> FastAPI:
    app = Application(
        edge,
        title="Scrivano",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.services = services
    for router in (
        jobs.router,
        uploads.router,
        events.router,
        audio.router,
        transcripts.router,
        models.router,
        webhooks.router,
        health.router,
        openai.router,
        whisper_asr.router,
        whisper_cpp.router,
    ):
        app.include_router(router)
    if edge.docs:
        _add_docs(app)
    app.add_exception_handler(ScrivanoError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _broken)
    return app


def _add_docs(app: FastAPI) -> None:
    """Swagger UI out of the package: a private server's page asks nobody else for its scripts."""
    app.mount("/assets/swagger", StaticFiles(directory=Path(str(files("scrivano") / "web" / "swagger"))))

    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Scrivano",
        swagger_js_url="/assets/swagger/swagger-ui-bundle.js",
        swagger_css_url="/assets/swagger/swagger-ui.css",
        swagger_favicon_url="/assets/swagger/favicon-32x32.png",
    )
    policy = page_policy(bytes(page.body).decode())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page.body, headers={"Content-Security-Policy": policy})

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ScrivanoError)
    return answer(request.url.path, problem_of(error))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    reasons = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
    param = str(error.errors()[0]["loc"][-1])
    return answer(request.url.path, Problem(status=400, message=reasons, code="invalid_value", param=param))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = {404: "no such page; /docs lists all routes", 405: "this route does not take that method; see /docs"}
    message = hint.get(error.status_code, error.detail)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers or {}
    return answer(request.url.path, Problem(status=error.status_code, message=message, headers=headers))


def _allowed(request: Request) -> str:
    """All methods of the path: Starlette names those of the first route that has it."""
    routes = request.app.router.routes
    scopes = ({**request.scope, "method": method} for method in METHODS)
    taken = (scope["method"] for scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes))
    return ", ".join(taken)


def _broken(request: Request, error: Exception) -> Response:
    if job_id := request.path_params.get("job_id"):
        set_job(job_id)
    logger.error("a request failed: %s %s", request.method, request.url.path, exc_info=error)
    message = "the server failed on this request; its log says why"
    return answer(request.url.path, Problem(status=500, message=message, code="internal"))
