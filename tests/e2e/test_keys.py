"""A served program with API keys: whose jobs are whose, limits, and keys that come and go while it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from served import DATA, TIMEOUT_S, Served, served, start, until

from scrivano.client import Client, StatusError

CLIP = "en-exact-0.flac"


def manage(keys: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scrivano", "keys", *arguments]
    environ = {**os.environ, "API_KEYS_FILE": str(keys), "COLUMNS": "200"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S)


def create(keys: Path, name: str, *options: str) -> str:
    made = manage(keys, "create", "--name", name, *options)
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("scv_") == 1
    assert "scv_" not in made.stderr
    return made.stdout.strip()


@dataclass
class Locked:
    """A server with keys of two users and an admin, and the jobs that both made."""

    server: Served
    keys: Path
    secrets: dict[str, str]
    jobs: dict[str, str]

    def call(self, who: str, method: str, path: str, **request: Any) -> httpx2.Response:
        return self.server.http.request(method, path, headers={"X-API-Key": self.secrets[who]}, **request)

    def submit(self, who: str, name: str = CLIP, key: str | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.secrets[who]}"} | ({"Idempotency-Key": key} if key else {})
        files = {"audio": (name, (DATA / name).read_bytes())}
        return self.server.http.post("/jobs", headers=headers, files=files, data={"queue": "true"})


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("keys")
    keys = folder / "keys.json"
    secrets = {
        "ann": create(keys, "ann"),
        "bob": create(keys, "bob", "--jobs", "1", "--streams", "1"),
        "admin": create(keys, "admin", "--scopes", "admin"),
        "gone": create(keys, "gone"),
    }
    settings = {"API_KEYS_FILE": str(keys), "IDLE_TIMEOUT_SECS": "0", "KEEP_AUDIO": "true", "SCRIVANO_HOST": "0.0.0.0"}
    with served(folder / "data", **settings) as server:
        all_of_it = Locked(server, keys, secrets, {})
        server.http.base_url = httpx2.URL(server.url.replace("0.0.0.0", "127.0.0.1"))
        for who in ("ann", "bob"):
            all_of_it.jobs[who] = all_of_it.submit(who, key="the same").json()["job_id"]
            job = all_of_it.call(who, "GET", f"/jobs/{all_of_it.jobs[who]}?wait=60").json()
            assert job["status"] == "done"
        yield all_of_it


def test_with_keys_nobody_is_warned_of_having_none(locked: Locked) -> None:
    assert not [line for line in locked.server.log if line["level"] in ("warning", "error")]


def test_two_keys_have_two_jobs_of_the_same_recording_and_idempotency_key(locked: Locked) -> None:
    assert locked.jobs["ann"] != locked.jobs["bob"]
    assert locked.submit("ann", key="the same").json()["job_id"] == locked.jobs["ann"]


def test_each_key_lists_its_own_jobs_and_an_admin_all(locked: Locked) -> None:
    listed = {
        who: {job["id"] for job in locked.call(who, "GET", "/jobs").json()["jobs"]} for who in ("ann", "bob", "admin")
    }

    assert locked.jobs["bob"] not in listed["ann"]
    assert listed["bob"] == {locked.jobs["bob"]}
    assert set(locked.jobs.values()) <= listed["admin"]


def test_another_keys_job_is_not_there_on_any_route(locked: Locked) -> None:
    openapi = locked.server.http.get("/openapi.json").json()
    of_a_job = [(path, method) for path in openapi["paths"] if "{job_id}" in path for method in openapi["paths"][path]]
    assert len(of_a_job) >= 6

    bodies: dict[str, Any] = {"patch": {"names": {"S1": "Ada"}}, "put": {"text": "corrected"}}
    for path, method in [*of_a_job, ("/jobs/{job_id}/audio", "head"), ("/jobs/{job_id}?purge=true", "delete")]:
        path = path.replace("{index}", "0").replace("{number}", "1")
        theirs, nobodys = (
            locked.call("ann", method.upper(), path.replace("{job_id}", job_id), json=bodies.get(method))
            for job_id in (locked.jobs["bob"], "nothing")
        )
        assert (theirs.status_code, nobodys.status_code) == (404, 404), (method, path)
        assert theirs.text.replace(locked.jobs["bob"], "nothing") == nobodys.text
    for path in ("", "/audio", "/transcript", "/stream"):
        assert locked.call("bob", "GET", f"/jobs/{locked.jobs['bob']}{path}").status_code == 200
        assert locked.call("admin", "GET", f"/jobs/{locked.jobs['bob']}{path}").status_code == 200
    assert locked.call("bob", "HEAD", f"/jobs/{locked.jobs['bob']}/audio").headers["Content-Length"]


def test_openais_client_works_with_a_key_and_is_told_of_a_wrong_one(locked: Locked) -> None:
    url = str(locked.server.http.base_url.join("/v1"))
    with openai.OpenAI(base_url=url, api_key=locked.secrets["ann"], max_retries=0) as client:
        said = client.audio.transcriptions.create(model="whisper-1", file=(DATA / CLIP))
        assert "director" in said.text
        assert client.models.list().data
    with openai.OpenAI(base_url=url, api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.models.list()
        assert refused.value.code == "invalid_api_key"


def test_our_own_clients_send_a_key(locked: Locked) -> None:
    url = str(locked.server.http.base_url)
    command = [sys.executable, "-m", "scrivano", "transcribe", "--server", url, str(DATA / CLIP)]
    with_key = {**os.environ, "SCRIVANO_API_KEY": locked.secrets["ann"]}
    done = subprocess.run(command, env=with_key, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, "director" in done.stdout) == (0, True), done.stderr
    refused = subprocess.run(
        [*command, "--api-key", "no"], env=with_key, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (refused.returncode, "API key" in refused.stderr) == (1, True)
    with Client(url) as client, pytest.raises(StatusError, match="requires an API key"):
        client.get("x")


def test_jobs_and_streams_are_limited(locked: Locked) -> None:
    with locked.server.paused("engine"):
        first = locked.submit("bob", "en-it-mixed-0.flac")
        second = locked.submit("bob", "en-it-mixed-0.flac", key="another")
    assert (first.status_code, second.status_code) == (202, 429), first.text
    assert (second.headers["Retry-After"], "1 unfinished jobs" in second.json()["error"]) == ("30", True)

    with locked.server.http.stream("GET", "/model/events", headers={"X-API-Key": locked.secrets["bob"]}) as stream:
        assert stream.status_code == 200
        refused = locked.call("bob", "GET", f"/jobs/{locked.jobs['bob']}/stream")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    until(lambda: locked.call("bob", "GET", f"/jobs/{locked.jobs['bob']}/stream").status_code == 200)
    locked.call("bob", "DELETE", f"/jobs/{first.json()['job_id']}")


def test_a_revoked_key_is_refused_and_its_streams_end(locked: Locked) -> None:
    ended = threading.Event()

    def listen() -> None:
        with locked.server.http.stream("GET", "/model/events", headers={"X-API-Key": locked.secrets["gone"]}) as stream:
            opened.set()
            for _ in stream.iter_lines():
                pass
        ended.set()

    opened = threading.Event()
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert opened.wait(TIMEOUT_S)

    gone = manage(locked.keys, "revoke", "gone")
    assert (gone.returncode, "is revoked" in gone.stdout) == (0, True)

    until(lambda: locked.call("gone", "GET", "/jobs").status_code == 401)
    assert ended.wait(TIMEOUT_S)
    assert locked.call("ann", "GET", "/jobs").status_code == 200
    listed = manage(locked.keys, "list").stdout
    assert "ann" in listed
    assert "gone" not in listed
    assert not re.search(r"scv_|[0-9a-f]{64}", listed)


def replace(path: Path, text: str) -> None:
    """At once: the server would see an empty file, too, and say so."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_new_key_is_taken_and_a_broken_file_changes_nothing(locked: Locked) -> None:
    locked.secrets["new"] = create(locked.keys, "new", "--scopes", "read")
    until(lambda: locked.call("new", "GET", "/jobs").status_code == 200)
    assert locked.call("new", "GET", "/jobs").json()["jobs"] == []
    assert locked.submit("new").status_code == 403

    good = locked.keys.read_text()
    replace(locked.keys, "{")
    until(lambda: [line for line in locked.server.log if line["level"] == "error"])
    assert locked.call("ann", "GET", "/jobs").status_code == 200
    replace(locked.keys, good)
    errors = [line for line in locked.server.log if line["level"] == "error"]
    assert [line["logger"] for line in errors] == ["scrivano.auth.key_ring"]


def test_no_secret_is_in_the_log(locked: Locked) -> None:
    log = json.dumps(locked.server.log)

    assert not [secret for secret in locked.secrets.values() if secret in log]


def test_a_server_does_not_start_with_a_file_that_it_cannot_use(tmp_path: Path) -> None:
    process = start(tmp_path, API_KEYS_FILE=str(tmp_path / "none.json"))
    said, _ = process.communicate(timeout=60)

    assert (process.returncode, "scrivano keys create" in said) == (2, True)


@pytest.mark.parametrize(
    "wrong",
    [["--scopes", "all"], ["--jobs", "0"], ["--name", "a\nb"], ["--file", "/proc/x/k"], ["--file", "~no-such-user/k"]],
)
def test_a_key_that_cannot_be_made_is_refused(tmp_path: Path, wrong: list[str]) -> None:
    refused = manage(tmp_path / "keys.json", "create", "--name", "one", *wrong)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "keys.json").exists()


def test_an_upload_belongs_to_the_key_that_began_it(locked: Locked) -> None:
    content = (DATA / CLIP).read_bytes()

    def call(who: str, method: str, path: str, **headers: str) -> httpx2.Response:
        given = {"Tus-Resumable": "1.0.0", "X-API-Key": locked.secrets[who]}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = content if method == "PATCH" else b""
        return locked.server.http.request(method, path, headers=given, content=body)

    send = {"Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    where = call("ann", "POST", "/uploads", Upload_Length=str(len(content))).headers["Location"]
    for method in ("HEAD", "GET", "DELETE"):
        assert call("bob", method, where).status_code == 404
    assert call("bob", "PATCH", where, **send).status_code == 404
    assert call("ann", "HEAD", where).headers["Upload-Offset"] == "0"

    # An admin may do anything to it; the job is the key's that began it.
    job_id = call("admin", "PATCH", where, **send).headers["X-Job-Id"]
    assert locked.call("ann", "GET", f"/jobs/{job_id}?wait=60").json()["status"] == "done"
    assert locked.call("bob", "GET", f"/jobs/{job_id}").status_code == 404
