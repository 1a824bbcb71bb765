from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx2
import pytest

from scrivano.domain.errors import AddressRefused
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport, guarded_client

OPEN = AddressPolicy()
STRICT = AddressPolicy.of(None, private_by_default=False)


class Recorder(httpx2.AsyncBaseTransport):
    """Answers 200 and records each request. Connections to `dead` addresses fail."""

    def __init__(self, dead: Sequence[str] = ()) -> None:
        self.requests: list[httpx2.Request] = []
        self.dead = dead

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if request.url.host in self.dead:
            raise httpx2.ConnectError("dead", request=request)
        return httpx2.Response(200)

    @property
    def targets(self) -> list[str]:
        return [request.url.host for request in self.requests]


class Names:
    """A resolver that returns its answers one after another, and repeats the last one."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.resolved: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.resolved.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such name")
        return answer


def get(url: str, names: Names, inner: Recorder, *, policy: AddressPolicy = STRICT) -> httpx2.Response:
    async def call() -> httpx2.Response:
        async with guarded_client(GuardedTransport(policy, resolve=names, inner=inner), 5) as client:
            return await client.get(url)

    return asyncio.run(call())


def test_the_connection_uses_the_address_and_everything_else_the_name() -> None:
    names, inner = Names(["93.184.215.14"]), Recorder()

    get("https://files.test:8443/a%20b?c=d", names, inner)

    (sent,) = inner.requests
    assert (sent.url.host, sent.url.port, sent.url.raw_path) == ("93.184.215.14", 8443, b"/a%20b?c=d")
    assert sent.headers["host"] == "files.test:8443"
    assert sent.extensions["sni_hostname"] == "files.test"
    assert names.resolved == ["files.test"]


def test_a_dns_answer_that_changes_after_the_check_is_not_used() -> None:
    names, inner = Names(["93.184.215.14"], ["127.0.0.1"]), Recorder()

    get("http://rebinding.test/", names, inner)
    with pytest.raises(AddressRefused):
        get("http://rebinding.test/", names, inner)

    assert inner.targets == ["93.184.215.14"]
    assert len(names.resolved) == 2  # once per call


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0"])
def test_one_bad_address_among_good_ones_refuses_the_call(bad: str) -> None:
    inner = Recorder()

    with pytest.raises(AddressRefused) as refused:
        get("http://mixed.test/", Names(["93.184.215.14", bad]), inner)

    assert not inner.requests
    assert bad not in str(refused.value)


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    inner = Recorder(dead=["2606:4700::1111"])

    get("http://files.test/", Names(["2606:4700::1111", "1.1.1.1"]), inner)

    assert inner.targets == ["2606:4700::1111", "1.1.1.1"]


def test_when_no_address_answers_the_last_failure_is_raised_and_not_all_are_tried() -> None:
    many = [f"1.1.1.{n}" for n in range(9)]
    inner = Recorder(dead=many)

    with pytest.raises(httpx2.ConnectError):
        get("http://files.test/", Names(many), inner)

    assert len(inner.targets) == 4


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://0177.1/",
        "http://[::1%25lo]/",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[::7f00:1]/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://a.test:0/",
        "http://a.test:99999/",
        "http:///nowhere",
        "ftp://a.test/",
        "file:///etc/hostname",
        "gopher://a.test/",
    ],
)
def test_disguised_addresses_and_other_schemes_are_refused_by_every_policy(url: str) -> None:
    inner = Recorder()

    for policy in (OPEN, STRICT):
        with pytest.raises((AddressRefused, httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            get(url, Names(["1.1.1.1"]), inner, policy=policy)
    assert not inner.requests


def test_a_literal_address_is_not_resolved() -> None:
    names, inner = Names(["1.1.1.1"]), Recorder()

    get("http://192.168.1.5:9000/hook", names, inner, policy=OPEN)
    get("http://[fd12::5]/hook", names, inner, policy=OPEN)
    with pytest.raises(AddressRefused, match="ALLOW_NETWORKS"):
        get("http://192.168.1.5:9000/hook", names, inner)

    assert inner.targets == ["192.168.1.5", "fd12::5"]
    assert not names.resolved


def test_a_name_without_an_address_cannot_be_connected_to() -> None:
    with pytest.raises(httpx2.ConnectError, match="has no address"):
        get("http://files.test/", Names([]), Recorder())


def test_a_name_that_takes_too_long_to_resolve_times_out() -> None:
    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def call() -> None:
        async with guarded_client(GuardedTransport(STRICT, resolve=never, inner=Recorder()), 0.05) as client:
            await client.get("http://slow.test/")

    with pytest.raises(httpx2.ConnectTimeout):
        asyncio.run(call())
