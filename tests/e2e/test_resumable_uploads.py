"""tus 1.0 under `/uploads`, by its own Python client through a bad network, and by hand for each status."""

from __future__ import annotations

import hashlib
import random
import signal
import socket
import wave
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx2
import numpy as np
import pytest
from cutting import cutting
from media_files import samples
from served import CATALOG, DATA, Served, served, start, text_of, until
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader.uploader import Uploader

from scrivano.files.blob_writer import RunningHash
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.uploads import PartialUpload, UploadStore

CLIP = "en-exact-0.flac"
BYTES = (DATA / CLIP).read_bytes()
TUS = {"Tus-Resumable": "1.0.0"}
SEED = 11
MB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("tus"), IDLE_TIMEOUT_SECS="0", MAX_UPLOAD_BYTES=str(1000 * MB)) as server:
        yield server


def address(server: Served) -> tuple[str, int]:
    parts = urlsplit(server.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def metadata(**fields: str) -> str:
    return ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in fields.items())


def begin(server: Served, size: int = len(BYTES), **fields: str) -> str:
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata(**fields)}
    answer = server.http.post("/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return urljoin("/uploads", answer.headers["Location"])


def patch(server: Served, where: str, offset: int, data: bytes, **headers: str) -> httpx2.Response:
    given = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return server.http.patch(where, content=data, headers=given)


def offset(server: Served, where: str) -> int:
    answer = server.http.head(where, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def refused(answer: httpx2.Response, status: int, part: str) -> None:
    assert (answer.status_code, answer.headers["Tus-Resumable"]) == (status, "1.0.0")
    assert part in answer.json()["error"]


# By tuspy, through a network that cuts


def uploader_of(url: str, file: BinaryIO, **options: Any) -> Uploader:
    return TusClient(f"{url}/uploads").uploader(file_stream=file, **options)


def send(uploader: Uploader) -> None:
    """One request."""
    uploader.upload_chunk()  # type: ignore[no-untyped-call]


def persevere(uploader: Uploader, tries: int = 100) -> list[int]:
    """Go on after each cut, as a program does that wants its upload to arrive. Returns the offsets on the way."""
    seen = [0]
    for _ in range(tries):
        try:
            if uploader.url:
                uploader.offset = uploader.get_offset()
                seen.append(uploader.offset)
            uploader.upload()
            return seen
        except (TusCommunicationError, TusUploadFailed):
            continue
    raise AssertionError(f"not there after {tries} tries")


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checksum"])
def test_an_upload_cut_at_random_bytes_becomes_its_transcript(server: Served, checksum: bool) -> None:
    lot = random.Random(SEED)
    budgets = iter([lot.randrange(400, 25_000) for _ in range(12)])
    fields = {"filename": CLIP, "metadata": '{"customer": "42"}'}
    with (DATA / CLIP).open("rb") as file, cutting(address(server)) as proxy:
        uploader = uploader_of(proxy.url, file, chunk_size=30_000, metadata=fields, upload_checksum=checksum)
        # Each connection is cut until the lot is used up; also those that only ask.
        proxy.budgets = budgets
        seen = persevere(uploader)

    assert proxy.cuts >= 5
    assert seen == sorted(seen), "an offset never goes back"
    assert uploader.url is not None
    job_id = server.http.head(urlsplit(uploader.url).path, headers=TUS).headers["X-Job-Id"]
    job = server.ended(job_id)
    assert text_of(job) == CATALOG[CLIP]["text"]
    assert (job["filename"], job["metadata"]) == (CLIP, {"customer": "42"})


def test_what_came_before_a_cut_counts(server: Served) -> None:
    where = begin(server, size=4 * MB)
    given = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    with cutting(address(server)) as proxy:
        proxy.budgets, proxy.resets = iter([3 * MB]), False
        with pytest.raises(httpx2.TransportError):
            httpx2.patch(proxy.url + where, content=bytes(4 * MB), headers=given, timeout=60)

    # uvicorn drops what it has read ahead.
    assert 2 * MB < until(lambda: offset(server, where)) < 3 * MB
    assert server.http.delete(where, headers=TUS).status_code == 204


def long_recording(path: Path) -> Path:
    """The clip behind minutes of silence: many bytes, few words."""
    audio = np.concatenate([np.zeros(16_000 * 60 * 21, np.int16), samples(DATA / CLIP)])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(audio.tobytes())
    return path


def kill_at(server: Served, where: str, offset_bytes: int) -> None:
    """When it has come so far."""
    until(lambda: httpx2.get(server.url + where, timeout=60).json()["offset_bytes"] >= offset_bytes)
    server.process.kill()


@pytest.mark.slow
def test_a_server_killed_in_the_middle_goes_on_where_it_said(tmp_path: Path) -> None:
    lot = random.Random(SEED)
    recording = long_recording(tmp_path / "long.wav")
    content = recording.read_bytes()
    folder = tmp_path / "data"
    server = Served(start(folder))
    with recording.open("rb") as file, cutting(address(server)) as proxy:
        uploader = uploader_of(proxy.url, file, metadata={"filename": "long.wav"})
        uploader.set_url(uploader.create_url())
        uploader.offset = told = 0
        for kill in range(2):
            proxy.on_cut = partial(kill_at, server, urlsplit(str(uploader.url)).path, told or 16 * MB)
            proxy.budgets = iter([lot.randrange(1, 5 * MB) if kill else 24 * MB])
            uploader.stop_at = len(content)
            with pytest.raises(TusUploadFailed):
                send(uploader)
            server.close()
            server = Served(start(folder))
            proxy.target, proxy.on_cut = address(server), lambda: None
            uploader.offset = uploader.get_offset()
            assert uploader.offset >= max(told, 16 * MB), "what was told, and the first checkpoint"
            [part] = (folder / "uploads").iterdir()
            assert part.read_bytes()[: uploader.offset] == content[: uploader.offset]
            uploader.stop_at = uploader.offset + MB
            send(uploader)
            told = uploader.offset
        persevere(uploader)
        job_id = uploader.request.response_headers["x-job-id"]  # type: ignore[attr-defined]
        assert text_of(server.ended(job_id)) == CATALOG[CLIP]["text"]
    server.close()


def test_an_upload_that_was_whole_at_a_crash_becomes_a_job_at_the_next_start(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    database, blobs = SqliteDatabase.open(tmp_path / "scrivano.db"), FolderBlobs(tmp_path)
    partials = UploadStore(database, lambda: now)
    for upload_id in ("part", "settled"):
        with blobs.extend(upload_id, 0, RunningHash()) as writer:
            writer.write(BYTES)
        upload = PartialUpload(
            id=upload_id,
            size_bytes=len(BYTES),
            offset_bytes=len(BYTES),
            metadata=metadata(language="en"),
            created_at=now,
            expires_at=now + timedelta(hours=1),
        )
        partials.add(upload)
    blobs.complete("settled", RunningHash())
    database.close()

    with served(tmp_path) as server:
        for job_id in ("part", "settled"):
            until(lambda job_id=job_id: "id" in server.job(job_id))  # type: ignore[misc]
            assert text_of(server.ended(job_id)) == CATALOG[CLIP]["text"]
            assert server.http.head(f"/uploads/{job_id}", headers=TUS).headers["X-Job-Id"] == job_id


# By hand


def test_the_server_says_what_it_understands(server: Served) -> None:
    answer = server.http.request("OPTIONS", "/uploads")

    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "checksum",
        "expiration",
        "termination",
    }
    assert answer.headers["Tus-Max-Size"] == str(1000 * MB)
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,md5"


def test_an_upload_from_its_beginning_to_its_job(server: Served) -> None:
    where = begin(server, filename="meeting.flac", language="en")
    head = server.http.head(where, headers=TUS)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", str(len(BYTES)))
    assert head.headers["Cache-Control"] == "no-store"
    assert head.headers["Upload-Metadata"] == metadata(filename="meeting.flac", language="en")
    until_day = parsedate_to_datetime(head.headers["Upload-Expires"]) - datetime.now(UTC)
    assert 23 < until_day.total_seconds() / 3600 <= 24

    first = patch(server, where, 0, BYTES[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert "X-Job-Id" not in first.headers
    assert server.http.get(where).json()["offset_bytes"] == 1000
    last = patch(server, where, 1000, BYTES[1000:])

    job_id = last.headers["X-Job-Id"]
    assert last.status_code == 204
    assert "Upload-Expires" not in last.headers
    assert server.http.head(where, headers=TUS).headers["X-Job-Id"] == job_id
    assert server.http.get(where).json()["job_id"] == job_id
    again = patch(server, where, len(BYTES), b"")
    assert (again.status_code, again.headers["X-Job-Id"]) == (204, job_id)
    job = server.ended(job_id)
    assert (text_of(job), job["language"], job["filename"]) == (CATALOG[CLIP]["text"], "en", "meeting.flac")
    again = patch(server, where, len(BYTES), b"")
    assert (again.status_code, again.headers["X-Job-Id"]) == (204, job_id), "also when its recording is gone"
    assert server.http.delete(where, headers=TUS).status_code == 204
    assert server.job(job_id)["status"] == "done", "the job is not the upload's"


def test_the_first_request_may_bring_it_all(server: Served) -> None:
    headers = {**TUS, "Upload-Length": str(len(BYTES)), "Content-Type": "application/offset+octet-stream"}
    answer = server.http.post("/uploads", content=BYTES, headers=headers)

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(len(BYTES)))
    assert text_of(server.ended(answer.headers["X-Job-Id"])) == CATALOG[CLIP]["text"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_a_body_that_does_not_match_its_checksum_does_not_count(server: Served, algorithm: str) -> None:
    where = begin(server)
    right = b64encode(hashlib.new(algorithm, BYTES[:5000]).digest()).decode()

    refused(patch(server, where, 0, BYTES[1:5001], Upload_Checksum=f"{algorithm} {right}"), 460, "send them again")
    assert offset(server, where) == 0
    assert patch(server, where, 0, BYTES[:5000], Upload_Checksum=f"{algorithm} {right}").status_code == 204
    assert offset(server, where) == 5000


@pytest.mark.parametrize("checksum", ["crc32 AAAA", "sha1", "sha1 not base64!", "sha256 AAAA"])
def test_a_checksum_that_cannot_be_is_refused(server: Served, checksum: str) -> None:
    where = begin(server)

    answer = patch(server, where, 0, BYTES[:10], Upload_Checksum=checksum)

    assert answer.status_code in (400, 460)
    assert offset(server, where) == 0


def test_what_does_not_fit_together_is_refused(server: Served) -> None:
    where = begin(server, size=100)
    nowhere = "/uploads/none"

    refused(patch(server, where, 5, b"x"), 409, "must be 0")
    refused(patch(server, where, 0, b"x" * 101), 413, "that remain of Upload-Length")
    refused(patch(server, where, 0, b"x", Content_Type="audio/flac"), 415, "application/offset+octet-stream")
    refused(patch(server, where, -1, b"x"), 400, "Upload-Offset")
    refused(patch(server, where, 0, b"x", Tus_Resumable="0.2.2"), 412, "1.0.0")
    refused(patch(server, nowhere, 0, b"x"), 404, "create a new upload")
    assert server.http.head(nowhere, headers=TUS).status_code == 404
    assert server.http.head(where).status_code == 412
    refused(server.http.delete(nowhere, headers=TUS), 404, "not found")
    assert offset(server, where) == 0
    assert server.http.delete(where, headers=TUS).status_code == 204
    assert server.http.head(where, headers=TUS).status_code == 404


def test_a_body_without_a_length_is_measured_on_its_way(server: Served) -> None:
    where = begin(server, size=100)
    given = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}

    answer = server.http.patch(where, content=iter([b"x" * 60, b"x" * 60]), headers=given)
    refused(answer, 413, "that remain of Upload-Length")
    answer = server.http.patch(where, content=iter([b"x" * 30, b"x" * 30]), headers=given)

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "60")


BAD_BEGINNINGS = {
    "no-length": ({"Upload-Length": ""}, 400, "Upload-Length"),
    "nonsense": ({"Upload-Length": "1e3"}, 400, "number of bytes"),
    "absurd": ({"Upload-Length": "9" * 40}, 400, "number of bytes"),
    "empty": ({"Upload-Length": "0"}, 400, "empty"),
    "unknown-length": ({"Upload-Defer-Length": "1"}, 400, "not supported"),
    "too-large": ({"Upload-Length": str(1000 * MB + 1)}, 413, "MAX_UPLOAD_BYTES"),
    "task": ({"Upload-Metadata": metadata(task="sing")}, 400, "'transcribe' or 'translate'"),
    "language": ({"Upload-Metadata": metadata(language="klingon")}, 400, "language"),
    "model": ({"Upload-Metadata": metadata(model="none")}, 400, "does not exist here"),
    "webhook": ({"Upload-Metadata": metadata(webhook_url="ftp://a.test")}, 400, "webhook_url"),
    "metadata": ({"Upload-Metadata": metadata(metadata="[1]")}, 400, "JSON object"),
    "no-ascii": ({"Upload-Metadata": "filename \xe9\xe9\xe9\xe9"}, 400, "base64"),
    "no-base64": ({"Upload-Metadata": "filename ???"}, 400, "base64"),
    "twice": ({"Upload-Metadata": "a AAAA,a AAAA"}, 400, "each name once"),
    "no-version": ({"Tus-Resumable": ""}, 412, "Tus-Resumable: 1.0.0"),
}


@pytest.mark.parametrize("name", BAD_BEGINNINGS)
def test_what_cannot_become_a_job_is_refused_before_a_byte_is_sent(server: Served, name: str) -> None:
    headers, status, part = BAD_BEGINNINGS[name]

    given = {
        name.encode(): value.encode("latin-1") for name, value in {**TUS, "Upload-Length": "10", **headers}.items()
    }
    answer = server.http.post("/uploads", headers=given)

    refused(answer, status, part)
    assert "Location" not in answer.headers


def test_clients_that_can_only_post_have_all_methods(server: Served) -> None:
    where = begin(server)

    def post(method: str, data: bytes = b"", **headers: str) -> httpx2.Response:
        given = {**TUS, "X-HTTP-Method-Override": method, "Content-Type": "application/offset+octet-stream", **headers}
        return server.http.post(where, content=data, headers=given)

    assert post("PATCH", BYTES[:100], **{"Upload-Offset": "0"}).headers["Upload-Offset"] == "100"
    assert post("HEAD").headers["Upload-Offset"] == "100"
    refused(post("PUT"), 400, "X-HTTP-Method-Override")
    assert post("DELETE").status_code == 204
    assert server.http.head(where, headers=TUS).status_code == 404


def test_of_two_requests_at_once_the_later_goes_on(server: Served) -> None:
    """The earlier one's connection may be dead, which its server cannot know."""
    where = begin(server)
    with socket.create_connection(address(server)) as stale:
        lines = [f"PATCH {where} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in TUS.items())]
        lines += ["Content-Type: application/offset+octet-stream", "Upload-Offset: 0", f"Content-Length: {len(BYTES)}"]
        stale.sendall("\r\n".join([*lines, "", ""]).encode() + b"\0" * 5000)
        until(lambda: _reads(server, where, stale))

        job_id = patch(server, where, 0, BYTES).headers["X-Job-Id"]
        stale.sendall(b"\0" * (len(BYTES) - 5000))
        answer = stale.recv(1000)

    assert b" 423 " in answer.partition(b"\r\n")[0]
    assert text_of(server.ended(job_id)) == CATALOG[CLIP]["text"]


def test_a_server_that_stops_keeps_what_has_come_and_waits_for_no_more(tmp_path: Path) -> None:
    server = Served(start(tmp_path))
    where = begin(server, size=4 * MB)
    with socket.create_connection(address(server)) as stalled:
        lines = [f"PATCH {where} HTTP/1.1", "Host: a", "Tus-Resumable: 1.0.0", f"Content-Length: {4 * MB}"]
        lines += ["Content-Type: application/offset+octet-stream", "Upload-Offset: 0", "", ""]
        stalled.sendall("\r\n".join(lines).encode() + bytes(3 * MB))
        until(lambda: _reads(server, where, stalled))
        server.process.send_signal(signal.SIGTERM)
        answer = stalled.recv(1000)
        server.close()

    # Open requests have five seconds, and are cut then, without a response.
    assert b" 204 " in answer.partition(b"\r\n")[0]
    assert f"upload-offset: {3 * MB}".encode() in answer
    assert not [line for line in server.log if line["level"] == "error"]
    with served(tmp_path) as again:
        assert offset(again, where) == 3 * MB


def _reads(server: Served, where: str, stale: socket.socket) -> bool:
    """Whether the stale request has been taken up: then it no longer waits in the kernel."""
    port = stale.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        if int(remote.rpartition(":")[2], 16) == port and int(local.rpartition(":")[2], 16) == address(server)[1]:
            return int(queues.rpartition(":")[2], 16) == 0
    return False


def test_the_queue_s_limit_holds_at_the_beginning_and_at_the_end(tmp_path: Path) -> None:
    # Nothing is prepared while no model is ready, so jobs wait.
    with served(tmp_path, MAX_QUEUE="1", ADMISSION="queue", WHISPER_MODEL="tiny", HF_HUB_OFFLINE="1") as server:
        where = begin(server)
        assert patch(server, where, 0, BYTES[:-1]).status_code == 204
        waits = server.submit(CLIP)

        answer = server.http.post("/uploads", headers={**TUS, "Upload-Length": "10"})
        refused(answer, 429, "MAX_QUEUE")
        assert int(answer.headers["Retry-After"]) > 0
        refused(patch(server, where, len(BYTES) - 1, BYTES[-1:]), 429, "MAX_QUEUE")
        assert server.http.head(where, headers=TUS).status_code == 429, "whole, but no job"

        server.http.delete(f"/jobs/{waits}")
        answer = server.http.head(where, headers=TUS)
        job_id = answer.headers["X-Job-Id"]
        assert server.job(job_id)["status"] == "queued"
        assert server.http.head(where, headers=TUS).headers["X-Job-Id"] == job_id, "one upload, one job"
        assert len(server.http.get("/jobs").json()["jobs"]) == 2
