"""What became of webhooks, as a running server tells it; and real receivers that are slow, broken and well again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from served import Served, served, until

from scrivano.api.routes.webhooks import redacted
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.webhooks.circuit_breaker import FAILURES


@contextmanager
def receiver(answer: Callable[[], int]) -> Iterator[tuple[str, list[bytes]]]:
    """A URL, and the bodies that were posted there."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(answer())
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    server.shutdown()
    server.server_close()


def submit(server: Served, url: str) -> str:
    """A job that has ended, so that there is a delivery, whether the model is loaded or not."""
    answer = server.http.post(
        "/jobs", files={"audio": ("a", b"no recording")}, data={"webhook_url": url, "queue": "true"}
    )
    job_id: str = answer.json()["job_id"]
    server.http.delete(f"/jobs/{job_id}")
    return job_id


def deliveries(server: Served, **query: Any) -> list[dict[str, Any]]:
    answer = server.http.get("/webhooks/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


def test_deliveries_are_listed_made_again_and_tried(tmp_path: Path) -> None:
    status = 500
    with receiver(lambda: status) as (url, bodies), served(tmp_path) as server:
        server.load()  # before a URL is known: so no webhook tells of that, whenever it is
        secret = url.replace("http://", "http://user:pass@") + "?token=hush"
        job_id = submit(server, secret)
        (one,) = until(lambda: [it for it in deliveries(server, job_id=job_id) if it["attempts"]])
        assert (one["status"], one["last_error"], one["last_status_code"]) == ("pending", "answered 500", 500)
        assert one["url"] == url.replace("http://", "http://***@") + "?***"
        assert one["next_attempt_at"] > one["created_at"]
        status = 204
        (one,) = until(lambda: deliveries(server, job_id=job_id, status="delivered"))
        assert (one["next_attempt_at"], one["last_error"], one["last_status_code"]) == (None, None, 204)

        calls = len(bodies)
        again = server.http.post(f"/webhooks/deliveries/{one['id']}/redeliver")
        assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (202, "pending", 0)
        until(lambda: len(bodies) > calls)
        missing = server.http.post("/webhooks/deliveries/msg_nobody/redeliver")
        assert missing.status_code == 404
        assert "GET /webhooks/deliveries" in missing.json()["error"]

        tested = server.http.post("/webhooks/test", json={"url": url}).json()
        assert (tested["delivered"], tested["status_code"], tested["error"]) == (True, 204, None)
        assert b'"type": "test"' in bodies[-1]
        refused = server.http.post("/webhooks/test", json={"url": "http://169.254.169.254/"}).json()
        assert (refused["delivered"], refused["status_code"]) == (False, None)
        assert server.http.post("/webhooks/test", json={"url": "ftp://x"}).status_code == 400

        submit(server, url)
        until(lambda: len(deliveries(server)) == 2)
        listed = [it["id"] for it in deliveries(server)]
        paged, cursor = [], ""
        while cursor is not None:
            page = server.http.get("/webhooks/deliveries", params={"limit": 1, "cursor": cursor}).json()
            paged += [it["id"] for it in page["deliveries"]]
            cursor = page["next_cursor"]
        assert sorted(paged) == sorted(listed)
        assert server.http.get("/webhooks/deliveries", params={"cursor": "§"}).status_code == 400
    assert "hush" not in str(server.log)
    assert "pass" not in str(server.log)


def test_a_slow_host_holds_up_no_other(tmp_path: Path) -> None:
    gate = threading.Event()

    def wait() -> int:
        gate.wait(30)
        return 204

    with receiver(wait) as (slow, _), receiver(lambda: 204) as (quick, bodies), served(tmp_path) as server:
        try:
            for n in range(6):
                submit(server, f"{slow}/{n}")
            until(lambda: len(deliveries(server)) >= 6)
            job_id = submit(server, quick)
            until(lambda: deliveries(server, job_id=job_id, status="delivered"), 10)
        finally:
            gate.set()
    assert [body for body in bodies if job_id.encode() in body]


def test_a_host_that_failed_often_rests_and_first_attempts_go_on(tmp_path: Path) -> None:
    """Deliveries of which three attempts were made already come out of the outbox, as after a restart."""
    status = 500
    database = SqliteDatabase.open(tmp_path / "scrivano.db")
    outbox = Outbox(database, lambda: datetime.now(UTC))
    with receiver(lambda: status) as (url, bodies):
        for n in range(FAILURES + 3):
            outbox.add(f"late-{n}", f"{url}/{n}", "job", b"late")
            for _ in range(3):
                outbox.retry_at(f"late-{n}", datetime.now(UTC), "answered 500")
        database.close()
        with served(tmp_path) as server:
            until(lambda: any("late attempts wait" in line["message"] for line in server.log))
            until(lambda: all(_wait_s(one) > 15 for one in deliveries(server)))

            status = 204
            began = time.monotonic()
            job_id = submit(server, url)
            until(lambda: deliveries(server, job_id=job_id, status="delivered"))
            assert time.monotonic() - began < 15
            # As many as were under way when the rest began; the others wait.
            assert FAILURES <= bodies.count(b"late") < FAILURES + 4


def _wait_s(delivery: Mapping[str, Any]) -> float:
    return (datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.now(UTC)).total_seconds()


def test_a_url_is_shown_without_secrets() -> None:
    assert redacted("https://u:p@h.test:8/a/b?k=v&x#f") == "https://***@h.test:8/a/b?***"
    assert redacted("http://h.test/a") == "http://h.test/a"
