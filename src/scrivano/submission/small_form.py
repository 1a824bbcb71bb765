"""Read a small form that has no recording: as multipart, as URL-encoded form, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from scrivano.domain.errors import BadRequest
from scrivano.submission.form_fields import FormFields
from scrivano.submission.multipart import FormParser
from scrivano.submission.request_body import BodyInterrupted, RequestBody

__all__ = ["parse_fields", "read_fields"]


async def read_fields(body: RequestBody) -> FormFields:
    """The fields of a form; none if there is no body. Its size is limited elsewhere. Raises `BadRequest`."""
    try:
        data = b"".join([chunk async for chunk in body.chunks])
    except BodyInterrupted as error:
        raise BadRequest("the connection ended before the body did") from error
    return parse_fields(body.content_type, data)


def parse_fields(content_type: str, data: bytes) -> FormFields:
    """Raises `BadRequest`, which says what to send."""
    kind = content_type.partition(";")[0].strip().lower()
    if not data.strip():
        return FormFields({})
    if kind == "multipart/form-data":
        return _multipart(content_type, data)
    if kind == "application/x-www-form-urlencoded":
        return FormFields(parse_qs(data.decode(errors="replace"), keep_blank_values=True, max_num_fields=None))
    if kind == "application/json":
        return _json(data)
    raise BadRequest(
        f"the body is {kind or 'of no type'}: send the fields as multipart/form-data, as"
        " application/x-www-form-urlencoded, or as a JSON object with Content-Type: application/json"
    )


def _multipart(content_type: str, data: bytes) -> FormFields:
    parser = FormParser(content_type, None, lambda piece: None)
    parser.write(data)
    form = parser.finish()
    if form.misplaced is not None:
        raise BadRequest(f"leave out the file '{form.misplaced}': only the stored recording is transcribed here")
    return form.fields


def _json(data: bytes) -> FormFields:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BadRequest('the body must be a JSON object, such as {"model": "small", "beam_size": 1}')
    return FormFields({str(name): _texts(name, value) for name, value in values.items()})


def _texts(name: str, value: Any) -> list[str]:
    """A JSON value as the texts of form fields. `null` is a blank field."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(name, item)]
    if isinstance(value, Mapping):  # `metadata`
        return [json.dumps(value)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    text = "" if value is None else str(value)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise BadRequest(f"{name} contains half of a surrogate pair, which is no character")
    return [text]
