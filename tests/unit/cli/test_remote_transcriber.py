from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from scrivano.cli.remote_transcriber import RemoteTranscriber
from scrivano.client import Client
from scrivano.watch.transcriber import Failed, Gone, NoServer, TryLater


def transcriber(answer: httpx2.Response | Exception) -> RemoteTranscriber:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return RemoteTranscriber(Client("http://a.example", transport=httpx2.MockTransport(handle)), {})


def test_a_full_server_is_no_missing_one() -> None:
    busy = transcriber(httpx2.Response(429, json={"error": "the queue is full"}))

    with pytest.raises(TryLater, match="the queue is full") as raised:
        busy.submit(Path(__file__), "key")
    assert not isinstance(raised.value, NoServer)


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.ConnectError("refused"),
        httpx2.Response(401, json={"error": "no key"}),
        httpx2.Response(503, text="proxy"),
    ],
    ids=["refused", "no key", "a proxy without its server"],
)
def test_without_a_server_there_is_none(answer: httpx2.Response | Exception) -> None:
    away = transcriber(answer)

    with pytest.raises(NoServer):
        away.submit(Path(__file__), "key")
    with pytest.raises(NoServer):
        away.outcome("job")


def test_a_refused_recording_fails_and_an_unknown_job_is_gone() -> None:
    refusing = transcriber(httpx2.Response(413, json={"error": "too large"}))
    unknowing = transcriber(httpx2.Response(404, json={"error": "no such job"}))

    assert refusing.submit(Path(__file__), "key") == Failed("too large")
    assert unknowing.outcome("job") == Gone()
