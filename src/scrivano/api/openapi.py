"""The OpenAPI document: FastAPI's, completed with the responses that follow from what a route declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scrivano.api.routing import ErrorFormat, PolicyRoute, RoutePolicy

__all__ = ["complete"]

_JSON = "application/json"
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer scv_…`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_TOKEN_SCHEME = {
    "stream_token": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "From `POST /stream-tokens`, for what a browser opens without headers.",
    }
}
_ERROR_MODELS = {
    ErrorFormat.PLAIN: "ErrorResponse",
    ErrorFormat.OPENAI: "OpenAIErrorResponse",
    ErrorFormat.TUS: "ErrorResponse",
}


def complete(document: dict[str, Any], routes: Iterable[PolicyRoute], *, keys: bool) -> None:
    """Add to the document of these routes, in place. `keys`: the server takes API keys."""
    for route in routes:
        for method in route.methods or ():
            _complete_operation(document["paths"][route.path_format][method.lower()], route.policy, keys=keys)
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    if keys:
        document["components"]["securitySchemes"] = _SECURITY_SCHEMES | _TOKEN_SCHEME


def _complete_operation(operation: dict[str, Any], policy: RoutePolicy, *, keys: bool) -> None:
    responses, error_body = operation["responses"], _error_body(policy.errors)
    # FastAPI documents 422 where this server responds with 400 (see `app`).
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
        responses.setdefault("400", {"description": "A parameter is invalid; the message names it.", **error_body})
    for response in responses.values():
        # FastAPI documents an error model under the media type of the route's successful responses.
        for media_type, body in list(response.get("content", {}).items()):
            if media_type != _JSON and body.get("schema", {}).get("$ref", "").endswith("ErrorResponse"):
                response["content"] = {_JSON: body}
    if keys:
        schemes = [*_SECURITY_SCHEMES, *(_TOKEN_SCHEME if policy.stream_token else ())]
        operation["security"] = [] if policy.scopes is None else [{name: []} for name in schemes]
    for status, description in _errors_of(policy, keys=keys).items():
        responses.setdefault(status, {"description": description, **error_body})


def _errors_of(policy: RoutePolicy, *, keys: bool) -> dict[str, str]:
    errors = {}
    if policy.takes_recording:
        errors["408"] = "The body arrived too slowly or stopped arriving; the connection is closed."
    if keys and policy.scopes is not None:
        errors["401"] = "No API key, or one that this server does not know."
        errors["403"] = f"The key lacks the scope: {' or '.join(sorted(policy.scopes))}."
        errors["429"] = "A limit of the key or of the server is reached; `Retry-After` says when to try again."
    return errors


def _error_body(format: ErrorFormat) -> dict[str, Any]:
    if format not in _ERROR_MODELS:
        return {}
    return {"content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{_ERROR_MODELS[format]}"}}}}
