"""`audio_url`: a recording that is fetched instead of sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from scrivano.api.services import Services
from scrivano.domain.errors import BadRequest, FetchFailed
from scrivano.submission.multipart import Upload

__all__ = ["FIELD", "fetch_audio", "http_url", "is_by_url"]

FIELD = "audio_url"


def is_by_url(upload: Upload) -> bool:
    """Whether a form that was received whole names a recording to fetch. Raises `BadRequest` for both or no URL."""
    url = http_url(upload.fields.get(FIELD), FIELD)
    if url is not None and upload.has_file:
        raise BadRequest("send the recording as 'audio', or where it is as 'audio_url', not both")
    return url is not None


async def fetch_audio(services: Services, upload: Upload) -> None:
    """Fetch the recording into `upload`, which from then on is like one whose file was sent.

    Nothing is accepted before the recording is here: an acknowledged job depends on no other server, and its SHA-256
    tells what it was made of. Raises `AddressRefused`, `FetchFailed`, `TooLarge`, `StorageFull`.
    """
    async with services.downloads.open(upload.fields[FIELD]) as download:
        upload.check_size(download.size_bytes or 0)
        services.blobs.disk_space.admit(download.size_bytes or 0)
        await upload.fill(download.pieces, download.filename)
    if not upload.size_bytes:
        raise FetchFailed("the recording at audio_url is empty")


def http_url(text: str | None, field: str) -> str | None:
    """Raises `BadRequest` for what is no URL that could be called."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest(f"{field} must be an http:// or https:// URL")
    return text
