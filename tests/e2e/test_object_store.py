"""A server whose recordings are in a bucket of a real S3 server, which goes away and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from media_files import repeated
from object_store import Gate, ObjectServer, environment, gate, object_server
from served import CATALOG, DATA, Served, served, start, text_of, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CLIP = "en-exact-0.flac"
TUS = {"Tus-Resumable": "1.0.0"}
MB = 1024 * 1024
LONG_S = 180.0


@dataclass
class Store:
    """A bucket behind a gate. `env`: the settings of a server that uses it."""

    server: ObjectServer
    gate: Gate
    bucket: str

    @property
    def env(self) -> dict[str, str]:
        return {**environment(self.gate.url), "BLOB_URL": f"s3://{self.bucket}/prefix", "ADMISSION": "queue"}

    @property
    def ids(self) -> set[str]:
        return {key.removeprefix("prefix/uploads/") for key in self.server.keys(self.bucket)}


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture
def store(s3: ObjectServer) -> Iterator[Store]:
    with gate(s3.port) as it:
        yield Store(s3, it, s3.new_bucket())


def recordings(data_dir: Path) -> set[str]:
    return {path.name for name in ("uploads", "cache", "prepared") for path in (data_dir / name).iterdir()}


def restarted(server: Served, data_dir: Path, **env: str) -> Served:
    server.process.send_signal(signal.SIGKILL)
    server.close()
    return Served(start(data_dir, **env))


@contextmanager
def stopping(server: Served) -> Iterator[Served]:
    try:
        yield server
    finally:
        server.close()


def test_a_job_has_its_recording_in_the_bucket_and_leaves_nothing_there(store: Store, tmp_path: Path) -> None:
    sent = (DATA / CLIP).read_bytes()
    with served(tmp_path, **store.env) as server:
        kept = server.ended(server.submit(CLIP, keep_audio="true"), LONG_S)
        spent = server.ended(server.submit(CLIP), LONG_S)
        assert text_of(kept) == text_of(spent) == CATALOG[CLIP]["text"]
        until(lambda: store.ids == {kept["id"]})

        audio = f"/jobs/{kept['id']}/audio"
        (tmp_path / "cache" / kept["id"]).unlink()  # as on a server that has not received it
        whole = server.http.get(audio)
        part = server.http.get(audio, headers={"Range": "bytes=100-199", "If-Range": whole.headers["ETag"]})
        head = server.http.head(audio)
        assert (whole.status_code, whole.content) == (200, sent)
        assert (part.status_code, part.content) == (206, sent[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(sent)}"
        assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(sent)))
        assert server.http.get(audio, headers={"Range": "bytes=99999999-"}).status_code == 416
        assert server.http.get("/readyz").json()["checks"]["uploads"] == "ok"

        assert server.http.delete(f"/jobs/{kept['id']}", params={"purge": "true"}).status_code == 200
        until(lambda: store.ids == set())
        assert server.http.get(audio).status_code == 404
    assert recordings(tmp_path) == set()
    assert store.server.unfinished(store.bucket) == 0


def test_children_get_no_credentials(store: Store, tmp_path: Path) -> None:
    with served(tmp_path, WEBHOOK_SECRET="whsec_" + b64encode(bytes(24)).decode(), **store.env) as server:
        server.load()
        children = until(lambda: (server.children("media") and server.children("engine")) or [])
        for pid in {*children, *server.children("media")}:
            names = {line.partition("=")[0] for line in Path(f"/proc/{pid}/environ").read_text().split("\0")}
            assert "PATH" in names
            assert not [name for name in names if name.startswith(("AWS_", "BLOB_", "WEBHOOK_SECRET"))]


def test_a_store_that_is_gone_in_the_middle_costs_no_job(store: Store, tmp_path: Path) -> None:
    with served(tmp_path, BLOB_CACHE_BYTES="0", **store.env) as server:
        server.load()
        with server.paused("media"):  # two are prepared at a time, and the others not fetched yet
            job_ids = [server.submit(CLIP) for _ in range(6)]
            store.gate.close()
        job_ids_put_off = until(lambda: [line for line in server.log if line["message"].startswith("job put off")])
        refused = server.http.post("/jobs", files={"audio": (CLIP, (DATA / CLIP).read_bytes())})
        ready = server.http.get("/readyz")

        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "the storage of recordings cannot be used now" in refused.json()["error"]
        assert (ready.status_code, "check the object store" in ready.json()["checks"]["uploads"]) == (503, True)
        assert job_ids_put_off

        store.gate.open()
        assert {server.ended(job_id, LONG_S)["status"] for job_id in job_ids} == {"done"}
        until(lambda: server.http.get("/readyz").status_code == 200)
        until(lambda: store.ids == set())
        server.ended(server.submit(CLIP), LONG_S)


def test_a_store_that_hangs_costs_no_job(store: Store, tmp_path: Path) -> None:
    with served(tmp_path, BLOB_CACHE_BYTES="0", **store.env) as server:
        job_ids = [server.submit(CLIP) for _ in range(3)]
        store.server.pause()
        try:
            until(lambda: server.http.get("/readyz").status_code == 503)
        finally:
            store.server.resume()
        assert {server.ended(job_id, LONG_S)["status"] for job_id in job_ids} == {"done"}


def test_a_server_starts_without_its_store_and_goes_on_when_it_is_back(store: Store, tmp_path: Path) -> None:
    env = {**store.env, "BLOB_CACHE_BYTES": "0"}
    server = Served(start(tmp_path, **env, WHISPER_MODEL="tiny", HF_HUB_OFFLINE="1"))  # which cannot be loaded
    job_id = server.submit(CLIP)
    store.gate.close()
    with stopping(restarted(server, tmp_path, **env)) as server:
        assert any("starting although" in line["message"] for line in server.log)
        server.http.post("/model/load")
        until(lambda: [line for line in server.log if line["message"].startswith("job put off")])
        store.gate.open()
        assert server.ended(job_id, LONG_S)["status"] == "done"


def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing(store: Store, tmp_path: Path) -> None:
    server = Served(start(tmp_path, **store.env))
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port)) as client:
        head = f"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: {50 * MB}\r\n"
        form = '--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n{form}".encode() + bytes(20 * MB))
        until(lambda: any(path.stat().st_size > MB for path in (tmp_path / "cache").iterdir()))
        server = restarted(server, tmp_path, **store.env)
    with stopping(server):
        assert recordings(tmp_path) == set()
        assert store.ids == set()
        assert store.server.unfinished(store.bucket) == 0


def test_a_server_killed_in_the_middle_of_a_job_goes_on_with_it(store: Store, tmp_path: Path) -> None:
    long = repeated(tmp_path / "long.wav", seconds=240)
    data = tmp_path / "data"
    server = Served(start(data, **store.env))
    job_id = server.http.post("/jobs", files={"audio": ("long.wav", long.read_bytes())}).json()["job_id"]
    until(lambda: server.job(job_id)["progress"] > 0, LONG_S)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    (data / "cache" / job_id).unlink()  # the cache was elsewhere: it has to be fetched again
    with stopping(restarted(server, data, **store.env)) as server:
        job = server.ended(job_id, LONG_S)
        assert (job["status"], round(job["duration_secs"])) == ("done", 240)
        until(lambda: store.ids == set())


def begin(server: Served, size: int, filename: str) -> str:
    fields = f"filename {b64encode(filename.encode()).decode()}"
    answer = server.http.post("/uploads", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": fields})
    assert answer.status_code == 201, answer.text
    return urljoin("/uploads", answer.headers["Location"])


def patch(server: Served, where: str, offset: int, data: bytes) -> httpx2.Response:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return server.http.patch(where, content=data, headers=headers)


def test_what_was_acknowledged_of_a_resumable_upload_survives_a_kill_and_the_stores_absence(
    store: Store, tmp_path: Path
) -> None:
    data = (DATA / CLIP).read_bytes()
    server = Served(start(tmp_path, **store.env))
    where = begin(server, len(data), CLIP)
    assert patch(server, where, 0, data[:5000]).status_code == 204

    with stopping(restarted(server, tmp_path, **store.env)) as server:
        assert server.http.head(where, headers=TUS).headers["Upload-Offset"] == "5000"
        store.gate.close()
        refused = patch(server, where, 5000, data[5000:])
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert "storage of recordings" in refused.json()["error"]

        store.gate.open()
        # Nobody has to ask for it: the server makes a job of it as soon as it can.
        job = until(lambda: server.http.get("/jobs").json()["jobs"], LONG_S)[0]
        assert text_of(server.ended(job["id"], LONG_S)) == CATALOG[CLIP]["text"]


def test_clients_and_the_pages_player_are_led_to_the_bucket(store: Store, tmp_path: Path) -> None:
    with served(tmp_path, BLOB_REDIRECT_SECS="60", **store.env) as server:
        job = server.ended(server.submit(CLIP, keep_audio="true"), LONG_S)
        audio = f"/jobs/{job['id']}/audio"
        answer = server.http.get(audio)

        assert answer.status_code == 307
        assert httpx2.get(answer.headers["Location"], timeout=60).content == (DATA / CLIP).read_bytes()
        assert server.http.head(audio).status_code == 200
        page = server.http.get("/", headers={"Accept": "text/html"})
        assert f"media-src 'self' blob: {store.gate.url};" in page.headers["Content-Security-Policy"]


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scrivano", *command],
        env={**os.environ, "WHISPER_MODEL": "nano", "PORT": "0", **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def refused_start(tmp_path: Path, **env: str) -> str:
    """The one line that says why a server does not start."""
    done = run("serve", DATA_DIR=str(tmp_path), **env)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_wrong_settings_of_the_store_end_the_start_in_one_line(store: Store, tmp_path: Path) -> None:
    env = store.env
    assert "does not exist" in refused_start(tmp_path, **{**env, "BLOB_URL": "s3://no-such-bucket"})
    assert "s3://bucket/prefix" in refused_start(tmp_path, **{**env, "BLOB_URL": "ftp://bucket"})
    assert "no such folder" in refused_start(tmp_path, BLOB_URL=f"file://{tmp_path}/missing")
    with object_server(INITIAL_NO_AUTH_ACTION_COUNT="1") as strict:
        strict.new_bucket()
        env |= {"AWS_ENDPOINT_URL": strict.url, "AWS_SECRET_ACCESS_KEY": "wrong"}
        assert "refuses these credentials (InvalidAccessKeyId)" in refused_start(tmp_path, **env)


def test_doctor_tries_the_store(store: Store, tmp_path: Path) -> None:
    good = run("doctor", DATA_DIR=str(tmp_path), **store.env)
    bad = run("doctor", DATA_DIR=str(tmp_path), **{**store.env, "BLOB_URL": "s3://no-such-bucket"})

    assert f"recordings: in s3://{store.bucket}/prefix: written, read, listed and deleted" in good.stdout
    assert "wrong recordings: BLOB_URL: the bucket of s3://no-such-bucket does not exist" in bad.stdout
    assert bad.returncode == 1
    assert store.ids == set()


def test_a_backup_says_that_the_recordings_are_elsewhere(store: Store, tmp_path: Path) -> None:
    with served(tmp_path / "data", **store.env) as server:
        server.ended(server.submit(CLIP, keep_audio="true"), LONG_S)
        done = run("backup", str(tmp_path / "b.tar"), DATA_DIR=str(tmp_path / "data"), **store.env)
    assert done.returncode == 0, done.stderr
    assert "1 job, 0 recordings" in done.stdout
    assert f"the recordings of jobs are in s3://{store.bucket}/prefix, and not in this file" in done.stderr

    refused = run("restore", str(tmp_path / "b.tar"), DATA_DIR=str(tmp_path / "new"))
    assert (refused.returncode, "set BLOB_URL as it was" in refused.stderr) == (2, True)
    assert run("restore", str(tmp_path / "b.tar"), DATA_DIR=str(tmp_path / "new"), **store.env).returncode == 0


def test_servers_can_share_a_folder(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with (
        served(tmp_path / "a", BLOB_URL=f"file://{shared}", ADMISSION="queue") as server,
        served(tmp_path / "b", BLOB_URL=f"file://{shared}", ADMISSION="queue") as other,
    ):
        job = server.ended(server.submit(CLIP, keep_audio="true"), LONG_S)
        assert text_of(job) == CATALOG[CLIP]["text"]
        assert {path.name for path in (shared / "uploads").iterdir()} == {job["id"]}
        assert server.http.get(f"/jobs/{job['id']}/audio").content == (DATA / CLIP).read_bytes()
        other.close()
    with served(tmp_path / "b", BLOB_URL=f"file://{shared}"):
        assert (shared / "uploads" / job["id"]).exists(), "it is another server's"
