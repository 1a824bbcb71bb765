"""`/docs`: the OpenAPI document and Swagger UI, served from the package so that no other host is contacted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from scrivano.api.middleware.security_headers import page_policy
from scrivano.api.routing import Router

__all__ = ["docs_router"]


def docs_router(frame_ancestors: Sequence[str] = ()) -> Router:
    """`frame_ancestors`: see `HttpOptions`."""
    router = Router(tag="docs")
    assets = StaticFiles(directory=Path(str(files("scrivano") / "web" / "swagger")))
    # All links are relative, so that they work below any prefix that a proxy has for this server.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Scrivano",
        swagger_js_url="assets/swagger/swagger-ui-bundle.js",
        swagger_css_url="assets/swagger/swagger-ui.css",
        swagger_favicon_url="assets/swagger/favicon-32x32.png",
    )
    policy = page_policy(bytes(page.body).decode(), frame_ancestors)

    @router.get("/docs", include_in_schema=False)
    @router.public()
    async def docs() -> HTMLResponse:
        return HTMLResponse(page.body, headers={"Content-Security-Policy": policy})

    # Only where no page is served at `/`: its router comes first.
    @router.get("/", include_in_schema=False)
    @router.public()
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")

    @router.head("/openapi.json", include_in_schema=False)
    @router.get("/openapi.json", include_in_schema=False)
    @router.public()
    async def document(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @router.head("/assets/swagger/{path:path}", include_in_schema=False)
    @router.get("/assets/swagger/{path:path}", include_in_schema=False)
    @router.public()
    async def asset(request: Request, path: str) -> Response:
        return await assets.get_response(path, request.scope)

    return router
