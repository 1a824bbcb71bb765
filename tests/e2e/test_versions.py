"""Versions of a job on a served program with two models: made, followed, compared, cancelled, killed, deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from media_files import repeated
from served import CATALOG, DATA, Served, served, start, text_of, until
from webhook_receiver import Receiver

from scrivano.client import AlreadyEnded, Client
from scrivano.comparison.tokens import plain
from scrivano.engines.catalog import NANO_FOLDER

CLIP = "en-exact-0.flac"
KEPT = {"KEEP_AUDIO": "true", "IDLE_TIMEOUT_SECS": "0", "ADMISSION": "queue"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The bundled model, and a copy of it under another name, which is the default."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    shutil.copytree(NANO_FOLDER, folder, ignore=shutil.ignore_patterns("recording*"))
    env = {"WHISPER_MODEL": "", "WHISPER_MODEL_PATH": str(folder), "MODELS": "nano", **KEPT}
    with served(tmp_path_factory.mktemp("versions"), **env) as running:
        yield running


def test_another_model_and_other_options_make_versions(server: Served) -> None:
    job_id = server.submit(CLIP)
    first = server.ended(job_id)

    answer = server.http.post(f"/jobs/{job_id}/retry", json={"model": "nano", "beam_size": 1})
    assert answer.status_code == 202
    queued = answer.json()
    assert (queued["version"], queued["version_of"], queued["model"]) == (2, job_id, "nano")
    assert queued["status"] in ("queued", "running")
    second = server.http.get(f"/jobs/{job_id}/versions/2", params={"wait": 60}).json()
    answer = server.http.post(f"/jobs/{queued['id']}/retry", data={"word_timestamps": "false", "model": ""})
    third = server.ended(answer.json()["id"])

    assert (second["status"], text_of(second)) == ("done", CATALOG[CLIP]["text"])
    listed = server.http.get(f"/jobs/{job_id}/versions").json()
    assert (listed["job_id"], listed["current"]) == (job_id, 3)
    shown = [(one["number"], one["current"], one["model"], one["options"]) for one in listed["versions"]]
    assert shown == [
        (1, False, "mine", {}),
        (2, False, "nano", {"beam_size": 1}),
        (3, True, "mine", {"beam_size": 1, "word_timestamps": False}),
    ]
    assert [one["quality"]["coverage"] for one in listed["versions"]] == [1, 1, 1]
    now = server.job(job_id)
    assert (now["version"], now["segments"]) == (3, third["segments"])
    assert now["segments"][0]["words"] == []
    assert server.http.get(f"/jobs/{job_id}/versions/1").json()["segments"] == first["segments"]
    assert [one["id"] for one in server.http.get("/jobs").json()["jobs"]].count(job_id) == 1


def test_each_version_has_its_files_events_and_recording(server: Served) -> None:
    job_id = server.submit(CLIP)
    server.ended(job_id)
    version = server.http.post(f"/jobs/{job_id}/retry", data={"language": "en"}).json()["id"]
    server.ended(version)

    for format in ("txt", "srt", "vtt", "tsv", "json", "verbose_json", "lrc"):
        for number in (1, 2):
            file = server.http.get(f"/jobs/{job_id}/versions/{number}/transcript", params={"format": format})
            assert file.status_code == 200
            assert "director" in file.text
    assert server.http.get(f"/jobs/{job_id}/versions/2/transcript", params={"format": "x"}).status_code == 400
    assert "event: done" in server.http.get(f"/jobs/{version}/stream").text
    assert server.http.get(f"/jobs/{version}/audio").content == (DATA / CLIP).read_bytes()


def test_two_versions_are_compared_word_by_word(server: Served) -> None:
    job_id = server.submit("en-it-mixed-0.flac", language="en")
    server.ended(job_id)
    server.ended(server.http.post(f"/jobs/{job_id}/retry", json={"language": "it"}).json()["id"])

    found = server.http.get(f"/jobs/{job_id}/versions/compare", params={"a": 1, "b": 2}).json()

    assert (found["a"]["number"], found["b"]["number"], found["unit"]) == (1, 2, "word")
    texts = [plain(server.http.get(f"/jobs/{job_id}/versions/{n}/transcript").text).split() for n in (1, 2)]
    assert [plain(" ".join(span[side] for span in found["spans"])).split() for side in "ab"] == texts
    assert found["equal"] + found["substituted"] + found["deleted"] == found["length_a"] == len(texts[0])
    assert found["equal"] + found["substituted"] + found["inserted"] == found["length_b"] == len(texts[1])
    same = server.http.get(f"/jobs/{job_id}/versions/compare", params={"a": 2, "b": 2, "equal": False}).json()
    assert (same["difference"], same["spans"]) == (0, [])


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("versions/7", 404, "has only version 1"),
        ("versions/0", 400, "number"),
        ("versions/none", 400, "number"),
        ("versions/7/transcript", 404, "has only version 1"),
        ("versions/compare?a=1&b=2", 404, "has no version 2"),
        ("versions/compare?a=x", 400, "a"),
    ],
)
def test_what_is_not_there_says_so(server: Served, path: str, status: int, message: str) -> None:
    job_id = server.submit(CLIP)
    server.ended(job_id)

    answer = server.http.get(f"/jobs/{job_id}/{path}")

    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert server.http.get(f"/jobs/none/{path.partition('?')[0]}").status_code in (400, 404)


def test_a_version_that_cannot_be_made_says_why(server: Served, tmp_path: Path) -> None:
    job_id = server.submit(CLIP)
    server.ended(job_id)
    url = f"/jobs/{job_id}/retry"

    unchanged = server.http.post(url)
    unknown = server.http.post(url, json={"model": "large-v3"})
    invalid = server.http.post(url, data={"beam_size": "99"})
    nonsense = server.http.post(url, content=b"?", headers={"Content-Type": "text/plain"})

    assert (unchanged.status_code, "this server has mine, nano" in unchanged.json()["error"]) == (409, True)
    assert (unknown.status_code, "choose one of mine, nano" in unknown.json()["error"]) == (400, True)
    assert (invalid.status_code, "beam_size" in invalid.json()["error"]) == (400, True)
    assert (nonsense.status_code, "application/json" in nonsense.json()["error"]) == (400, True)
    assert "version" not in server.job(job_id)
    with served(tmp_path) as forgetful:
        job_id = forgetful.submit(CLIP, queue="true")
        forgetful.ended(job_id)
        until(lambda: forgetful.http.get(f"/jobs/{job_id}/audio").status_code == 404)
        answer = forgetful.http.post(f"/jobs/{job_id}/retry", json={"beam_size": 1})
        assert (answer.status_code, "KEEP_AUDIO=true" in answer.json()["error"]) == (409, True)


def test_a_cancelled_version_leaves_the_job_as_it_is(server: Served) -> None:
    job = server.ended(server.submit(CLIP))
    with server.paused("engine"):
        version = server.http.post(f"/jobs/{job['id']}/retry", json={"beam_size": 5}).json()["id"]
        assert server.http.delete(f"/jobs/{job['id']}", params={"purge": True}).status_code == 409

        assert server.http.delete(f"/jobs/{version}").json()["status"] == "cancelled"

    assert server.job(job["id"]) == job | {"version": 1}
    assert server.http.delete(f"/jobs/{version}", params={"purge": True}).status_code == 409
    assert server.http.delete(f"/jobs/{job['id']}", params={"purge": True}).status_code == 200
    assert [server.http.get(f"/jobs/{job['id']}{end}").status_code for end in ("", "-v1", "-v2")] == [404] * 3


def test_the_webhook_receives_the_version(server: Served) -> None:
    receiver = Receiver()
    job_id = server.submit(CLIP)
    server.ended(job_id)

    server.http.post(f"/jobs/{job_id}/retry", data={"webhook_url": receiver.url, "beam_size": "1"})

    call = until(lambda: [body for _, body, _ in list(receiver.calls) if "id" in body])[0]
    receiver.close()
    assert (call["status"], call["version_of"], call["version"]) == ("done", job_id, 2)


def test_the_python_client_makes_and_compares_versions(server: Served) -> None:
    with Client(server.url) as client:
        job_id = client.submit(DATA / CLIP, model="mine", options={"beam_size": 2}, queue=True)
        client.wait(job_id)
        with pytest.raises(AlreadyEnded):
            client.retry(job_id)

        version = client.retry(job_id, model="nano", beam_size=1, word_timestamps=False)
        done = client.wait(version.id)

        assert (done.version, done.version_of, done.model) == (2, job_id, "nano")
        first, second = client.versions(job_id)
        assert (first.model, first.options, first.current) == ("mine", {"beam_size": 2}, False)
        assert (second.model, second.id, second.current) == ("nano", version.id, True)
        assert client.version(job_id, 1).segments
        assert client.compare(job_id, 1, 2)["equal"] == len(CATALOG[CLIP]["text"].split())


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_version_survives_kills_and_the_older_one_is_served_meanwhile(tmp_path: Path) -> None:
    recording = repeated(tmp_path / "long.wav", seconds=300)
    server = Served(start(tmp_path / "data", **KEPT))
    try:
        job = _done(server, recording)
        version = server.http.post(f"/jobs/{job['id']}/retry", json={"beam_size": 1, "vad": False}).json()["id"]
        for progress in (0, 1, 30):  # as soon as it is acknowledged, while it is decoded
            until(partial(_reached, server, version, progress))
            server.process.kill()
            server.close()
            server = Served(start(tmp_path / "data", **KEPT))
            if server.job(version)["status"] != "done":
                assert text_of(server.job(job["id"])) == text_of(job)
        done = server.ended(version, timeout_s=200)

        now = server.job(job["id"])
        assert (done["status"], now["version"], now["segments"]) == ("done", 2, done["segments"])
        assert server.http.get(f"/jobs/{job['id']}/versions/1").json()["segments"] == job["segments"]
    finally:
        server.close()


def _done(server: Served, recording: Path) -> dict[str, Any]:
    answer = server.http.post("/jobs", files={"audio": (recording.name, recording.read_bytes())})
    return server.ended(answer.json()["job_id"], timeout_s=200)


def _reached(server: Served, job_id: str, progress: int) -> bool:
    job = server.job(job_id)
    return bool(job["progress"] >= progress or job["status"] == "done")
