"""The fork server with real processes: forks that end, fail, crash, hang, and lose their server."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scrivano.processes.child import Child, Exited, Received
from scrivano.processes.fork_server import FORK_IS_SAFE, ForkServer

COMMAND = [sys.executable, str(Path(__file__).parents[2] / "children" / "forks.py")]
DEAD = 60

Message = Mapping[str, Any]
News = Received[Message] | Exited[Message]


class Heard:
    """A child at work, and what it says."""

    def __init__(self, server: ForkServer, order: str) -> None:
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.child = Child[Message]("fork", server.fork(), json.loads, self._news.put)
        self.child.send(json.dumps({"do": order}).encode())

    def next(self) -> News:
        return self._news.get(timeout=DEAD)

    def message(self) -> Received[Message]:
        news = self.next()
        assert isinstance(news, Received), news
        return news

    def code(self) -> int:
        news = self.next()
        assert isinstance(news, Exited), news
        return news.returncode


@pytest.fixture(params=["fork", "spawn"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    if request.param == "fork" and not FORK_IS_SAFE:
        pytest.skip("no forks on this system")
    monkeypatch.setenv("FORKS_TEST", request.param)
    monkeypatch.setenv("LOADS", str(tmp_path / "loads"))
    server = ForkServer(COMMAND)
    ended: queue.SimpleQueue[News] = queue.SimpleQueue()
    child = Child[Message]("server", server.process, json.loads, ended.put)
    yield server
    server.close()
    assert child.kill(DEAD)


def loads(tmp_path: Path) -> int:
    return (tmp_path / "loads").stat().st_size


def test_a_fork_has_only_its_own_pipes(server: ForkServer) -> None:
    heard = [Heard(server, "wait"), Heard(server, "echo")]
    heard[0].message()

    assert heard[1].message().message["descriptors"] == [0, 1, 2, 3]  # the last is the listing itself
    assert heard[1].code() == 0


def test_what_was_loaded_once_serves_all_forks(server: ForkServer, tmp_path: Path) -> None:
    echoes = [Heard(server, "echo").message().message for _ in range(5)]

    assert len({echo["pid"] for echo in echoes}) == 5
    forked = {echo["loaded_by"] for echo in echoes} == {server.process.pid}
    assert loads(tmp_path) == (1 if forked else 5)
    assert forked == (os.environ["FORKS_TEST"] == "fork")


@pytest.mark.parametrize(("order", "code"), [("exit 0", 0), ("exit 7", 7), ("crash", -signal.SIGSEGV), ("raise", 1)])
def test_the_return_code_is_the_forks(server: ForkServer, order: str, code: int) -> None:
    assert Heard(server, order).code() == code
    assert Heard(server, "echo").message().message["type"] == "echo"


def test_a_killed_fork_ends_alone(server: ForkServer) -> None:
    one, other = Heard(server, "wait"), Heard(server, "wait")
    one.message()
    other.message()

    assert one.child.kill(DEAD)
    assert one.code() == -signal.SIGKILL
    assert Heard(server, "echo").message().message["type"] == "echo"
    assert not other.child.ended
    assert other.child.kill(DEAD)


def test_a_fork_ends_with_its_server(server: ForkServer) -> None:
    heard = Heard(server, "wait")
    pid = heard.message().message["pid"]

    os.kill(server.process.pid, signal.SIGKILL)

    assert heard.code() == -signal.SIGKILL
    assert gone(lambda: os.kill(pid, 0)) is ProcessLookupError
    assert gone(server.fork) is BrokenPipeError


def test_a_stopped_server_cannot_end_its_forks_but_ends_with_them(server: ForkServer) -> None:
    heard = Heard(server, "wait")
    heard.message()
    os.kill(server.process.pid, signal.SIGSTOP)

    assert not heard.child.kill(0.2)
    server.close()

    assert heard.code() == -signal.SIGKILL


def gone(action: Callable[[], object]) -> type[OSError] | None:
    """Does it again and again, until it fails."""
    end = time.monotonic() + DEAD
    while time.monotonic() < end:
        try:
            action()
        except OSError as error:
            return type(error)
        time.sleep(0.01)
    return None
