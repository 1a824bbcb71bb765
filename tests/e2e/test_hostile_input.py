"""What is sent to do harm: each hostile file fails alone, nothing foreign is read or called, and the server goes on.

The suite sends a part of them; `make hostile` sends all, with every kind of recording cut off and damaged in very many
ways, and says how many.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hostile import Trap, hostile_files, references, spoiled_files
from media_files import KINDS, repeated, samples, spoken
from served import CATALOG, DATA, Served, served, text_of, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CLIP = "en-exact-0.flac"
ALL = os.environ.get("HOSTILE") == "all"
PLACES, STEP = (40, 1) if ALL else (1, 4)
CODES = {"not_media", "no_audio", "too_long", "media_timeout", "media_crashed"}
MB = 1024 * 1024
# What a media child may have; see `Request.memory_bytes`.
CHILD_MB = 1024


class Watch:
    """The most memory that the server and its media children have had, in MB."""

    def __init__(self, server: Served) -> None:
        self.server_mb = self.child_mb = 0
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            self.server_mb = max(self.server_mb, peak_mb(self._server.process.pid))
            self.child_mb = max([self.child_mb, *map(peak_mb, self._server.children("media"))])


def peak_mb(pid: int) -> int:
    """0 where it has ended."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
    return 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    with served(folder, ADMISSION="queue", IDLE_TIMEOUT_SECS="0", MAX_AUDIO_SECS="7200") as server:
        server.load()
        yield server
        faults = [line for line in server.log if line["level"] in ("error", "critical")]
        assert not faults, faults


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trap, socket.socket]]:
    secret = repeated(tmp_path_factory.mktemp("secret") / "secret.wav", seconds=8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Trap(secret, listener.getsockname()[1]), listener


def still_transcribes(server: Served) -> None:
    assert text_of(server.ended(server.submit(CLIP))) == CATALOG[CLIP]["text"]


def test_hostile_files_fail_alone(server: Served, trap: tuple[Trap, socket.socket], tmp_path: Path) -> None:
    audio = samples(spoken("en-exact-0").path)
    silent = [*[*references(trap[0])][::STEP], *hostile_files(tmp_path)]
    spoiled = [*spoiled_files(audio, tmp_path, [*KINDS][::STEP], PLACES, seed=3)]

    with Watch(server) as watch:
        jobs: dict[tuple[str, str], bool] = {}
        for name, content in silent + spoiled:
            answer = server.http.post("/jobs", files={"audio": (name, content)}, data={"language": "en"})
            assert answer.status_code == 202, (name, answer.text)
            jobs[name, answer.json()["job_id"]] = len(jobs) < len(silent)
        for (name, job_id), says_nothing in jobs.items():
            job = server.ended(job_id, timeout_s=600)
            if job["status"] == "failed":
                assert job["error_code"] in CODES, (name, job)
                assert len(job["error"]) > 20, (name, job)
                assert str(tmp_path.parent) not in job["error"], (name, job)
            else:
                assert job["status"] == "done", (name, job)
            if says_nothing:
                assert text_of(job) == "", (name, job)
    outcomes = [server.job(job_id)["status"] for _, job_id in jobs]
    print(
        f"\n{len(jobs)} hostile files: {outcomes.count('failed')} refused, {outcomes.count('done')} read as they are;"
    )
    print(f"memory at most: server {watch.server_mb} MB, media child {watch.child_mb} MB")

    with pytest.raises(BlockingIOError):
        trap[1].accept()
    assert watch.server_mb < 250
    assert 0 < watch.child_mb < CHILD_MB
    still_transcribes(server)


# Names

NAMES = {
    "up": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "windows": "C:\\windows\\..\\..\\secret.wav",
    "nul": "a\0b.wav",
    "crlf": "a\r\nSet-Cookie: x=1\r\n\r\n<script>.wav",
    "ansi": "\x1b[2J\x1b]0;owned\x07\x1b[31m.wav",
    "emoji": "\N{PILE OF POO}" * 1024 + ".wav",
    "direction": "\u202egpj.wav",
    "quotes": 'a"; filename="b.wav',
    "markup": "<img src=x onerror=alert(1)>.wav",
    "dots": "..",
    "device": "/dev/stdin",
    "long": "n" * 8000,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_data(server: Served, name: str) -> None:
    given = NAMES[name]
    quoted = given.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "%0D").replace("\n", "%0A")
    body = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="' + quoted.encode() + b'"\r\n\r\n'
    body += (DATA / CLIP).read_bytes() + b"\r\n--b--\r\n"

    answer = server.http.post("/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    if answer.status_code == 400:  # a part's header is longer, or has other characters, than the form's parser allows
        assert "multipart error" in answer.json()["error"]
        return
    job = server.ended(answer.json()["job_id"])
    assert (job["status"], text_of(job)) == ("done", CATALOG[CLIP]["text"])
    file = server.http.get(f"/jobs/{job['id']}/transcript")
    assert "\n" not in file.headers["Content-Disposition"]
    assert "/" not in file.headers["Content-Disposition"].partition("filename*")[0]
    log = json.dumps([line for line in server.log if line.get("job_id") == job["id"]])
    assert "\x1b" not in log


# Forms

PART = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
AUDIO = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n%b\r\n'
END = b"--b--\r\n"


def nested(depth: int) -> bytes:
    body = b"x"
    for level in range(depth):
        edge = b"n%d" % level
        body = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--" % (edge, edge, body, edge)
    return b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n' + body + b"\r\n" + END


FORMS: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "a-million-fields": (lambda: PART % (b"f", b"v") * 1_000_000, "b", 400),
    "a-million-files": (lambda: AUDIO % b"x" * 100_000, "b", 400),
    "field-of-megabytes": (lambda: PART % (b"prompt", b"x" * 5 * MB) + END, "b", 400),
    "header-of-megabytes": (lambda: b"--b\r\nX: " + b"x" * 5 * MB + b"\r\n\r\n" + END, "b", 400),
    "a-million-headers": (lambda: b"--b\r\n" + b"X: y\r\n" * 1_000_000 + b"\r\n" + END, "b", 400),
    "no-name": (lambda: b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, "b", 400),
    "no-disposition": (lambda: b"--b\r\n\r\nx\r\n" + END, "b", 400),
    "no-end": (lambda: AUDIO % b"x", "b", 400),
    "no-body": (lambda: b"", "b", 400),
    "not-a-form": (lambda: b"\0" * 1000, "b", 400),
    "long-boundary": (lambda: b"x" * 100_000, "b" * 60_000, 400),
    "boundary-of-dashes": (lambda: b"-" * 200_000, "-" * 70, 400),
    "nearly-boundaries": (lambda: AUDIO % (b"\r\n--" * 200_000) + END, "b", 202),
    "nested": (lambda: nested(200), "b", 202),
    "name-of-nul": (lambda: PART % (b"\0", b"\0") + AUDIO % b"x" + END, "b", 202),
    "deep-json": (lambda: PART % (b"metadata", b"[" * 60_000) + AUDIO % b"x" + END, "b", 400),
    "wide-json": (
        lambda: PART % (b"metadata", b'{"a":' * 10_000 + b"1" + b"}" * 10_000) + AUDIO % b"x" + END,
        "b",
        400,
    ),
    "half-a-pair": (lambda: PART % (b"metadata", b'{"a": "\\ud800"}') + AUDIO % b"x" + END, "b", 400),
    "huge-number": (lambda: PART % (b"beam_size", b"9" * 60_000) + AUDIO % b"x" + END, "b", 400),
    "other-digits": (lambda: PART % (b"beam_size", "٣".encode()) + AUDIO % b"x" + END, "b", 400),
    "not-a-number": (lambda: PART % (b"temperature", b"nan") + AUDIO % b"x" + END, "b", 400),
    "bad-utf8": (lambda: PART % (b"prompt", b"\xff\xfe\xed\xa0\x80") + AUDIO % b"x" + END, "b", 202),
    "url-nonsense": (lambda: PART % (b"webhook_url", b"http://[::1") + AUDIO % b"x" + END, "b", 400),
    "url-port": (lambda: PART % (b"webhook_url", b"http://a:99999") + AUDIO % b"x" + END, "b", 400),
    "url-crlf": (lambda: PART % (b"audio_url", b"http://a.test/\r\nHost: b") + END, "b", 400),
    "many-languages": (lambda: PART % (b"languages", b"en," * 20_000) + AUDIO % b"x" + END, "b", 202),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_hostile_form_is_refused_or_harmless(server: Served, name: str) -> None:
    build, boundary, status = FORMS[name]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    answer = server.http.post("/jobs", content=build(), headers=headers)

    assert answer.status_code == status, answer.text
    if status == 202:
        assert server.ended(answer.json()["job_id"])["error_code"] == "not_media"
    else:
        assert answer.json()["error"]


# Requests

QUERIES = [
    "/jobs?limit=-1",
    "/jobs?limit=99999999999999999999",
    "/jobs?status=%00",
    "/jobs?cursor=%ff%fe",
    "/jobs?cursor=" + "A" * 20_000,
    "/jobs?cursor=MjAyNi0wMS0wMVQwMDowMDowMA",
    "/jobs?cursor=OTk5OS0xMi0zMVQyMzo1OTo1OS0yMzo1OSB4",  # the last moment there is, west of Greenwich
    "/jobs?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzo1OSB4",  # the first one, east of it
    "/jobs/%00",
    "/jobs/..%2f..%2fetc%2fpasswd",
    "/jobs/" + "x" * 5000,
    "/jobs/{id}?wait=nan",
    "/jobs/{id}?wait=inf",
    "/jobs/{id}?wait=1e400",
    "/jobs/{id}/transcript?format=%0d%0a",
    "/jobs/{id}/transcript?max_cue_secs=nan&format=srt",
    "/jobs/{id}/transcript?max_line_chars=1&max_lines=1&format=srt",
    "/jobs/{id}/transcript?max_chars_per_sec=1&min_cue_secs=3600&format=vtt",
    "/assets/swagger/..%2f..%2f..%2fconfig.py",
    "/assets/swagger/%00",
    "/v1/models/%2e%2e%2f%00",
    "/model/status?%ff=%ff",
    "/uploads/%00",
    "/uploads/..%2f..%2fscrivano.db",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:40])
def test_a_nonsense_request_is_no_server_error(server: Served, query: str) -> None:
    answer = server.http.get(query.replace("{id}", done(server)))

    assert answer.status_code in (200, 400, 404, 409), answer.text
    assert answer.status_code == 200 or answer.json()["error"]


RANGES = ["bytes=", "bytes=-", "bytes=9-1", "bytes=-0", "bytes=0-,0-,0-", "bytes=" + "0-0," * 3000, "lines=1-2", "\xff"]


@pytest.mark.parametrize("asked", RANGES, ids=lambda asked: asked[:20])
def test_a_nonsense_range_is_no_server_error(server: Served, asked: str) -> None:
    job_id = kept(server)

    answer = server.http.get(f"/jobs/{job_id}/audio", headers={b"Range": asked.encode("latin-1")})

    assert answer.status_code in (200, 206, 416)
    assert len(answer.content) < 10 * MB


@pytest.mark.parametrize("given", ["-1", "9" * 5000, "1e3", "\xb2", "NaN", "0x10", "1;2"], ids=lambda given: given[:10])
def test_a_nonsense_last_event_id_is_as_none(server: Served, given: str) -> None:
    job_id = done(server)

    answer = server.http.get(f"/jobs/{job_id}/stream", headers={b"Last-Event-ID": given.encode("latin-1")})

    assert answer.status_code == 200
    assert answer.text.count("event: done") == 1


RAW = {
    "no-http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no-version": b"GET /health\r\n\r\n",
    "huge-line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "huge-header": b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 2 * MB + b"\r\n\r\n",
    "two-lengths": b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length-and-chunks": b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0",
    "negative-length": b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "chunk-of-nonsense": b"POST /jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "nul-in-path": b"GET /jobs/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "nul-in-header": b"GET /health HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "bad-method": b"\xff\xff / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_http_ends_its_own_connection_only(server: Served, name: str) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10) as raw, suppress(OSError):
        raw.sendall(RAW[name])
        raw.shutdown(socket.SHUT_WR)
        status = raw.recv(100).partition(b" ")[2][:1]
        assert status in (b"", b"2", b"4"), "no server error"

    assert server.http.get("/health").status_code == 200


def test_after_all_of_it_a_recording_is_transcribed(server: Served) -> None:
    until(lambda: server.http.get("/health").json()["queue_depth"] == 0)
    still_transcribes(server)


def done(server: Served) -> str:
    """A job that is done."""
    jobs = server.http.get("/jobs?status=done&limit=1").json()["jobs"]
    return str(jobs[0]["id"] if jobs else server.ended(server.submit(CLIP))["id"])


def kept(server: Served) -> str:
    """A job of which the recording is still there."""
    jobs = server.http.get("/jobs?status=failed&limit=1").json()["jobs"]
    if jobs:
        return str(jobs[0]["id"])
    answer = server.http.post("/jobs", files={"audio": ("a.wav", b"not a recording" * 1000)})
    return str(server.ended(answer.json()["job_id"])["id"])
