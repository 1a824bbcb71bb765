"""Recordings that the server fetches, and how long it keeps what it has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from served import CATALOG, DATA, Served, served, text_of, until

CLIP = "en-exact-0.flac"


class Files:
    """A file server: the recordings, and paths that fail. `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                name = urlsplit(self.path).path.rpartition("/")[2]
                body = b"" if name == "empty" else (DATA / name).read_bytes() if name in CATALOG else None
                if name == "moved":
                    self.send_response(302)
                    self.send_header("Location", f"/{CLIP}")
                else:
                    self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.close()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("ready"), IDLE_TIMEOUT_SECS="0", MAX_UPLOAD_BYTES="1000000") as server:
        server.load()
        yield server


def submit(server: Served, url: str, **more: Any) -> httpx2.Response:
    """A form without a file is multipart all the same."""
    fields = {"audio_url": url, **more}
    return server.http.post("/jobs", files={name: (None, value) for name, value in fields.items()})


def test_a_recording_is_fetched_and_transcribed_like_a_sent_one(ready: Served, files: Files) -> None:
    answer = submit(ready, f"{files.url}/{CLIP}?signature=secret", language="en")

    assert answer.status_code == 202, answer.text
    job = ready.ended(answer.json()["job_id"])
    assert (job["status"], job["filename"], job["language"]) == ("done", CLIP, "en")
    assert text_of(job) == CATALOG[CLIP]["text"]
    assert files.asked == [f"/{CLIP}?signature=secret"]
    assert "secret" not in str(ready.log)


def test_the_same_key_gets_the_same_job_by_url_too(ready: Served, files: Files) -> None:
    def send() -> httpx2.Response:
        fields = {"audio_url": (None, f"{files.url}/{CLIP}")}
        return ready.http.post("/jobs", files=fields, headers={"Idempotency-Key": "by-url"})

    assert send().json() == send().json()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/nothing", "answered 404"),
        ("/moved", "a redirect"),
        ("/empty", "is empty"),
        ("ftp://files.test/a.wav", "audio_url must be an http:// or https:// URL"),
        ("http://", "audio_url must be"),
        ("http://169.254.169.254/latest/meta-data/", "does not call 169.254.169.254"),
        ("http://[::ffff:127.0.0.1]/", "does not call"),
        ("http://2130706433/", "is not a valid host"),
    ],
)
def test_what_cannot_be_fetched_is_a_bad_request(ready: Served, files: Files, url: str, says: str) -> None:
    answer = submit(ready, files.url + url if url.startswith("/") else url)

    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]


def test_a_recording_is_sent_or_fetched_and_not_both(ready: Served, files: Files) -> None:
    both = ready.http.post("/jobs", files={"audio": (CLIP, b"x"), "audio_url": (None, f"{files.url}/{CLIP}")})
    neither = ready.http.post("/jobs", files={"audio_url": (None, "")})

    assert (both.status_code, "not both" in both.json()["error"]) == (400, True)
    assert (neither.status_code, neither.json()) == (400, {"error": "missing 'audio' field"})
    assert not files.asked


def test_a_form_that_is_refused_fetches_nothing(ready: Served, files: Files) -> None:
    answer = submit(ready, f"{files.url}/{CLIP}", task="sing")

    assert answer.status_code == 400
    assert not files.asked


def test_while_the_model_is_not_ready_nothing_is_fetched_unless_the_job_may_wait(tmp_path: Path, files: Files) -> None:
    with served(tmp_path) as cold:
        assert submit(cold, f"{files.url}/{CLIP}").status_code == 503
        assert not files.asked

        answer = submit(cold, f"{files.url}/{CLIP}", queue="true")
        assert answer.status_code == 202
        assert cold.ended(answer.json()["job_id"])["status"] == "done"


def test_private_networks_can_be_closed(tmp_path: Path, files: Files) -> None:
    with served(tmp_path, ALLOW_NETWORKS="10.0.0.0/8", ADMISSION="queue") as server:
        answer = submit(server, f"{files.url}/{CLIP}")

        assert answer.status_code == 400
        assert "ALLOW_NETWORKS" in answer.json()["error"]
        assert not files.asked


# How long things are kept


def uploads(folder: Path) -> set[str]:
    return {path.name for path in (folder / "uploads").iterdir()}


def test_recordings_are_kept_as_told_and_a_restart_respects_it(tmp_path: Path) -> None:
    with served(tmp_path, KEEP_AUDIO="true", ADMISSION="queue") as server:
        done = server.submit(CLIP)
        failed = server.http.post("/jobs", files={"audio": ("a", b"no")}).json()["job_id"]
        assert (server.ended(done)["status"], server.ended(failed)["status"]) == ("done", "failed")
    assert uploads(tmp_path) == {done, failed}

    with served(tmp_path, KEEP_AUDIO="true"):
        assert uploads(tmp_path) == {done, failed}
    with served(tmp_path) as server:
        assert uploads(tmp_path) == {failed}
        assert server.job(done)["segments"]


def test_old_jobs_are_forgotten_with_all_that_was_theirs(tmp_path: Path) -> None:
    with served(tmp_path, ADMISSION="queue") as server:
        job_id = server.http.post("/jobs", files={"audio": ("a", b"no")}).json()["job_id"]
        server.ended(job_id)
    assert uploads(tmp_path) == {job_id}

    with served(tmp_path, RETENTION_HOURS="0.000001") as server:
        until(lambda: server.http.get(f"/jobs/{job_id}").status_code == 404)
        until(lambda: not uploads(tmp_path))
