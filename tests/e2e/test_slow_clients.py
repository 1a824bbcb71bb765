"""Clients that hold on to what they have: raw sockets against a served program, with and without a body."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import Served, served, until

IDLE_S, HEAD_S, MIN_RATE, CONNECTIONS = 3.0, 2.0, 1000, 40
# A busy machine may be this late.
LATE_S = 20.0

FORM = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
FILE = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits for nobody."""
    settings = {
        "UPLOAD_IDLE_SECS": str(IDLE_S),
        "UPLOAD_MIN_BYTES_PER_SEC": str(MIN_RATE),
        "HEADER_TIMEOUT_SECS": str(HEAD_S),
        "ADMISSION": "queue",
    }
    folder = tmp_path_factory.mktemp("slow")
    with served(folder, **settings) as server:
        server.data_dir = folder  # type: ignore[attr-defined]
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that cuts no client of which the test is late."""
    with served(tmp_path_factory.mktemp("patient"), MAX_CONNECTIONS=str(CONNECTIONS), ADMISSION="queue") as server:
        yield server


def connected(server: Served) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def answer(sock: socket.socket) -> tuple[int, dict[str, str]]:
    """Status and JSON body of an answer; 0 where the connection was cut without one."""
    response = HTTPResponse(sock)
    try:
        response.begin()
        return response.status, json.loads(response.read())
    except ConnectionError:
        return 0, {}


def closed(sock: socket.socket) -> bool:
    """Whether the server has closed the connection; also by a reset, where it had not read everything."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def trickle(sock: socket.socket, piece: bytes, every_secs: float) -> float:
    """Send a piece now and then until the server has enough of it; returns the seconds that it took."""
    began = time.monotonic()
    sock.settimeout(every_secs)
    with suppress(ConnectionError):
        while time.monotonic() - began < LATE_S + 10:
            sock.sendall(piece)
            with suppress(TimeoutError):
                sock.recv(1, socket.MSG_PEEK)  # an answer, or the end
                break
    sock.settimeout(30)
    return time.monotonic() - began


def leftovers(server: Served) -> list[Path]:
    return list((server.data_dir / "uploads").iterdir())  # type: ignore[attr-defined]


def test_a_head_that_does_not_end_is_cut(hasty: Served) -> None:
    heads = [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n"]
    began = time.monotonic()  # before the server sees the connections, so that none seems to be cut too early
    with ExitStack() as open_ones:
        socks = [open_ones.enter_context(closing(connected(hasty))) for _ in heads]
        for sock, head in zip(socks, heads, strict=True):
            sock.sendall(head)
        for sock, head in zip(socks, heads, strict=True):
            status, _ = answer(sock)
            assert status == (408 if head else 0)
            assert HEAD_S * 0.9 <= time.monotonic() - began < HEAD_S + LATE_S


@pytest.mark.parametrize("piece", [b"X-A: b\r\n", b"\r\n"])
def test_a_head_that_comes_drop_by_drop_is_cut(hasty: Served, piece: bytes) -> None:
    with closing(connected(hasty)) as sock:
        sock.sendall(b"" if piece == b"\r\n" else b"GET /health HTTP/1.1\r\nHost: x\r\n")
        took = trickle(sock, piece, 0.1)

    assert took < HEAD_S + LATE_S


def test_a_second_requests_head_has_no_more_time_than_the_first(hasty: Served) -> None:
    with closing(connected(hasty)) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(sock)[0] == 200
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        assert answer(sock)[0] == 408


@pytest.mark.parametrize("pieces", [1, 50])
def test_a_head_that_is_too_large_is_refused(server: Served, pieces: int) -> None:
    value = b"a" * 100_000
    with closing(connected(server)) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ")
        for start in range(0, len(value), len(value) // pieces):
            try:
                sock.sendall(value[start : start + len(value) // pieces])
            except OSError:
                break  # it has heard enough
        assert answer(sock)[0] in (431, 0)  # 0: the refusal was lost with what was still under way


def test_a_head_of_a_usual_size_is_fine_however_it_is_cut(server: Served) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + b"a" * 60_000 + b"\r\n\r\n"
    with closing(connected(server)) as sock:
        for start in range(0, len(head), 7_000):
            sock.sendall(head[start : start + 7_000])
        assert answer(sock)[0] == 200


def test_what_is_no_http_is_told_so_in_json(server: Served) -> None:
    with closing(connected(server)) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        status, body = answer(sock)

    assert (status, set(body)) == (400, {"error"})


@pytest.mark.parametrize("piece", [b"", b"a" * 20], ids=["stops", "drips"])
def test_a_body_that_stalls_gets_408_and_leaves_nothing(hasty: Served, piece: bytes) -> None:
    with closing(connected(hasty)) as sock:
        began = time.monotonic()
        sock.sendall(FORM + b"Content-Length: 100000\r\n\r\n" + FILE + b"RIFF" * 1000)
        trickle(sock, piece, 0.1)
        took = time.monotonic() - began
        status, body = answer(sock)
        assert closed(sock)

    assert (status, set(body)) == (408, {"error"})
    assert "UPLOAD_MIN_BYTES_PER_SEC" in body["error"]
    assert IDLE_S * 0.9 <= took < IDLE_S + LATE_S
    until(lambda: leftovers(hasty) == [])


def test_a_body_in_chunks_that_drips_gets_408_and_leaves_nothing_on_disk(hasty: Served) -> None:
    first = FILE + b"RIFF" * 700_000
    with closing(connected(hasty)) as sock:
        sock.sendall(FORM + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(first) + first + b"\r\n")

        def is_on_disk() -> bool:  # more than is held in memory; until then the client is quick enough
            sock.sendall(b"1000\r\n" + b"a" * 0x1000 + b"\r\n")
            return leftovers(hasty) != []

        until(is_on_disk)
        trickle(sock, b"1\r\na\r\n", 0.1)
        assert answer(sock)[0] == 408

    until(lambda: leftovers(hasty) == [])


def test_a_body_that_is_slow_and_steady_is_taken(hasty: Served) -> None:
    body = FILE + b"RIFF" * 2500 + b"\r\n--b--\r\n"
    with closing(connected(hasty)) as sock:
        sock.sendall(FORM + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 500):
            sock.sendall(body[start : start + 500])
            time.sleep(0.15)  # about three times MIN_RATE, and longer than IDLE_S in all
        status, told = answer(sock)

    assert (status, set(told)) == (202, {"job_id"})


def test_a_body_that_nobody_reads_is_not_received_for_ever(hasty: Served) -> None:
    with closing(connected(hasty)) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert answer(sock)[0] == 200
        took = trickle(sock, b"a", 0.1)

    assert took < 2 * IDLE_S + LATE_S


def test_a_large_body_that_was_refused_early_still_gets_its_answer(server: Served) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"a" * 8_000_000
    with closing(connected(server)) as sock:
        sock.sendall(FORM + b"Content-Length: %d\r\n\r\n" % len(form) + form)
        assert answer(sock)[0] == 400


def test_an_answer_that_takes_long_is_not_cut_by_what_comes_after_the_request(hasty: Served) -> None:
    with closing(connected(hasty)) as sock:
        sock.sendall(b"GET /model/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        sock.sendall(b"\r\n")  # as some old clients do
        sock.settimeout(HEAD_S * 2)
        with pytest.raises(TimeoutError):
            list(iter(lambda: sock.recv(65536), b""))  # ends when the connection does


def test_more_connections_than_allowed_are_told_to_come_back(server: Served) -> None:
    with ExitStack() as open_ones:
        crowd = [open_ones.enter_context(closing(connected(server))) for _ in range(CONNECTIONS + 5)]
        assert answer(crowd[-1])[0] == 503
    until(lambda: server.http.get("/health").status_code == 200)


def test_a_client_beyond_the_limit_reads_its_answer_though_it_sends_a_body(server: Served) -> None:
    with ExitStack() as open_ones:
        for _ in range(CONNECTIONS):
            open_ones.enter_context(closing(connected(server)))
        for _ in range(5):
            with closing(connected(server)) as sock:
                sock.sendall(FORM + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000)
                time.sleep(0.1)
                assert answer(sock)[0] == 503
    until(lambda: server.http.get("/health").status_code == 200)


FIELD = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n%s\r\n'


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (FIELD % b"1" * 100_000, "more than 1000 fields"),
        (FIELD % (b"a" * 70_000), "longer than"),
        (FIELD % (b"a" * 60_000) * 100, "together"),
        (b"--b\r\nX-A: " + b"a" * 5_000_000, "multipart error"),
        (b"--b\r\n" + b"X-A: b\r\n" * 500_000, "multipart error"),
    ],
    ids=["fields", "field", "all fields", "header", "headers"],
)
def test_a_form_that_is_all_fields_ends_early(server: Served, body: bytes, complaint: str) -> None:
    with closing(connected(server)) as sock:
        sock.sendall(FORM + b"Content-Length: 1000000000\r\n\r\n" + body)
        status, told = answer(sock)

    assert status == 400
    assert complaint in told["error"]


def test_nothing_of_this_was_a_fault(server: Served, hasty: Served) -> None:
    for one in (server, hasty):
        assert one.http.get("/health").status_code == 200
        libraries = ("uvicorn", "python_multipart")
        assert not [line for line in one.log if line["level"] == "error" or line["logger"].startswith(libraries)]
