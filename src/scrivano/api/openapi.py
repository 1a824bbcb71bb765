"""The OpenAPI document: FastAPI's, with the refusals that routes have by what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

__all__ = ["DescribedApp", "error_body"]

_JSON = "application/json"
_BAD_PARAMETER = "A parameter cannot be used; the message names it."


class DescribedApp(FastAPI):
    """Its document has every status that a route answers with, and no other."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operation in _operations(document):
                _tell_refusals(path, operation["responses"])
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        return super().openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _tell_refusals(path: str, responses: dict[str, Any]) -> None:
    """FastAPI says 422 of what is a 400 here (see `app`)."""
    unusable = responses.get("422", {}).get("content", {}).get(_JSON, {})
    if "HTTPValidationError" in str(unusable):
        del responses["422"]
        responses.setdefault("400", {"description": _BAD_PARAMETER, **error_body(path)})
    for response in responses.values():
        # FastAPI puts a model under the media type of the route's good answers.
        for kind, body in list(response.get("content", {}).items()):
            if kind != _JSON and body.get("schema", {}).get("$ref", "").endswith("ErrorView"):
                response["content"] = {_JSON: body}


def error_body(path: str) -> dict[str, Any]:
    """The body of an error, as each protocol's clients have it (see `problems`)."""
    if path in ("/asr", "/detect-language"):
        return {}
    name = "OpenAIErrorView" if path.startswith("/v1/") else "ErrorView"
    return {"content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
