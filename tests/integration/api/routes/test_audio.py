"""A recording that is deleted while it is being sent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from starlette.types import Message

from scrivano.api.routes.audio import BlobResponse
from scrivano.files.folder_blobs import OpenFile


@pytest.mark.parametrize(("part", "expected"), [(None, b"recording"), ((3, 6), b"ord")])
def test_what_was_promised_is_sent_though_the_file_is_deleted(
    tmp_path: Path, part: tuple[int, int] | None, expected: bytes
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"recording")
    file = os.open(path, os.O_RDONLY)
    response = BlobResponse(OpenFile(file), part, media_type="audio/wav", headers={})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        path.unlink(missing_ok=True)
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
    asyncio.run(response(scope, _silent, send))

    assert b"".join(message.get("body", b"") for message in sent) == expected
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


async def _silent() -> Message:
    await asyncio.Event().wait()
    raise AssertionError
