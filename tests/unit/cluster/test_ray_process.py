"""A child of a node, with a node that is played by the test."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from scrivano.cluster.node_child import Lines
from scrivano.cluster.ray_process import NodeLost, RayProcess
from scrivano.processes.child import Child, Exited, Received


class Node:
    """Implements `NodeActor`. `answers`: of `read`, one after the other; then it is silent, or with `lives` says that
    there is nothing new.
    """

    def __init__(
        self,
        answers: Sequence[Lines | Exception] = (),
        *,
        place: Sequence[str | None] = ("here",),
        lives: bool = False,
    ) -> None:
        self.lives = lives
        self.answers = list(answers)
        self.places = list(place)
        self.written: list[tuple[bytes, bytes | None]] = []
        self.released: list[bool] = []
        self.done = threading.Event()
        self.begin_error: Exception | None = None

    def begin(self) -> None:
        if self.begin_error is not None:
            raise self.begin_error

    def place(self, timeout_s: float) -> str | None:
        return self.places.pop(0) if len(self.places) > 1 else self.places[0]

    def write(self, line: bytes, attachment: bytes | None) -> None:
        self.written.append((line, attachment))

    def read(self, timeout_s: float) -> Lines | None:
        if not self.answers:
            threading.Event().wait(0.001)
            return lines() if self.lives else None
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def release(self, *, reusable: bool) -> None:
        self.released.append(reusable)
        self.done.set()


def lines(*messages: bytes, log: Sequence[bytes] = (), returncode: int | None = None) -> Lines:
    return Lines(messages, log, returncode)


class Heard:
    """A `Child` over a `RayProcess`, and all that it says."""

    def __init__(self, node: Node, **options: Any) -> None:
        self.messages: list[bytes] = []
        self.exited = threading.Event()
        self.returncode: int | None = None
        self.node = node
        self.process = RayProcess(node, **options)
        self.child: Child[bytes] = Child("engine", self.process, bytes.strip, self._deliver)

    def _deliver(self, news: Received[bytes] | Exited[bytes]) -> None:
        if isinstance(news, Received):
            self.messages.append(news.message)
        else:
            self.returncode = news.returncode
            self.exited.set()

    def wait(self) -> None:
        assert self.exited.wait(20)
        # The other thread of the process, which told the end, does this next.
        assert self.node.done.wait(20)


def test_lines_go_both_ways_until_the_child_ends() -> None:
    node = Node([lines(b"one", b"two"), lines(b"three", returncode=0)])
    heard = Heard(node, attach=lambda line: b"more" if line.startswith(b"with") else None)
    heard.child.send(b"plain")
    heard.child.send(b"with something")

    heard.wait()

    assert heard.messages == [b"one", b"two", b"three"]
    assert heard.returncode == 0
    assert node.released == [True]


def test_requests_wait_for_the_place_of_the_child() -> None:
    node = Node(place=(None, None, "over there"), lives=True)
    heard = Heard(node, queued=b"queued", placed=lambda name: b"placed " + name.encode())
    heard.child.send(b"x" * 1_000_000)  # more than a pipe holds

    while not (node.written and len(heard.messages) == 3):  # two threads, in any order
        assert not heard.exited.wait(0.01)

    assert heard.messages == [b"queued", b"queued", b"placed over there"]
    heard.child.kill()
    heard.wait()
    assert heard.returncode == -signal.SIGKILL
    assert node.released == [False]


@pytest.mark.parametrize(
    ("answers", "returncode"),
    [
        ([lines(b"one"), NodeLost("its machine is gone")], -signal.SIGKILL),
        ([lines(b"one", returncode=-signal.SIGSEGV)], -signal.SIGSEGV),
        ([lines(b"one", returncode=3)], 3),
    ],
    ids=["the node dies", "the child crashes", "the child fails"],
)
def test_an_end_is_told_as_what_it_is(answers: Sequence[Lines | Exception], returncode: int) -> None:
    node = Node(answers)
    heard = Heard(node)

    heard.wait()

    assert heard.messages == [b"one"]
    assert heard.returncode == returncode
    assert node.released == [False]


def test_a_node_that_does_not_answer_is_lost() -> None:
    heard = Heard(Node([lines(b"one")]), silence_s=3.0)

    heard.wait()

    assert heard.messages == [b"one"]
    assert heard.returncode == -signal.SIGKILL


def test_an_actor_that_cannot_be_made_is_no_kill() -> None:
    node = Node()
    node.begin_error = ModuleNotFoundError("No module named 'obstore'")
    heard = Heard(node, failed=lambda reason: b"failed: " + reason.encode())

    heard.wait()

    assert heard.messages == [b"failed: No module named 'obstore'"]
    assert heard.returncode == 1


def test_a_child_is_killed_at_once_even_without_a_place() -> None:
    heard = Heard(Node(place=(None,)))

    assert heard.child.kill(wait_s=5)
    heard.wait()
    assert heard.returncode == -signal.SIGKILL
