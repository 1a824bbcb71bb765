from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scrivano.domain.errors import AddressRefused
from scrivano.net.guarded_transport import AddressPolicy, GuardedTransport, guarded_client, policy

OPEN = AddressPolicy()
STRICT = policy(None, strict=True)

PUBLIC = ["93.184.215.14", "1.1.1.1", "198.17.255.255", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
PRIVATE = [
    "10.1.2.3",
    "127.0.0.1",
    "127.8.8.8",
    "172.31.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.19.0.1",
    "::1",
    "fd12::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.1.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # mapped
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",  # translated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "2002:7f00:1::",  # 6to4
    "2001::1",  # Teredo
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",  # never handed out
]
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    for one in (OPEN, STRICT):
        assert one.refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_called_unless_told_otherwise(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    own = policy([ipaddress.ip_network(address)], strict=True)
    other = policy([ipaddress.ip_network("10.99.0.0/16")])

    assert OPEN.refusal(parsed) is None
    assert own.refusal(parsed) is None
    assert "private network" in str(STRICT.refusal(parsed))
    assert "private network" in str(other.refusal(parsed))


@pytest.mark.parametrize("address", [*NEVER, *METADATA])
def test_reserved_and_metadata_addresses_are_never_called(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    listed = policy([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])

    for one in (OPEN, STRICT, listed):
        assert one.refusal(parsed)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fd12::1%1", "::1%lo"])
def test_an_address_of_one_link_is_never_called(address: str) -> None:
    assert OPEN.refusal(ipaddress.ip_address(address)) == "it belongs to one network link"


@given(st.ip_addresses())
@example(IPv4Address("192.0.0.9"))
@example(IPv6Address("2001:4:112::1"))
def test_what_python_knows_as_special_is_refused_too(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert STRICT.refusal(address)


# The transport


class Recorder(httpx2.AsyncBaseTransport):
    """Answers 200, and notes where it was sent; connections to `dead` addresses fail."""

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
    """A resolver that gives its answers one after another, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such name")
        return answer


def get(url: str, names: Names, inner: Recorder, *, one: AddressPolicy = STRICT) -> httpx2.Response:
    async def call() -> httpx2.Response:
        async with guarded_client(GuardedTransport(one, resolve=names, inner=inner), 5) as client:
            return await client.get(url)

    return asyncio.run(call())


def test_the_connection_goes_to_the_address_and_all_else_stays_with_the_name() -> None:
    names, inner = Names(["93.184.215.14"]), Recorder()

    get("https://files.test:8443/a%20b?c=d", names, inner)

    (sent,) = inner.requests
    assert (sent.url.host, sent.url.port, sent.url.raw_path) == ("93.184.215.14", 8443, b"/a%20b?c=d")
    assert sent.headers["host"] == "files.test:8443"
    assert sent.extensions["sni_hostname"] == "files.test"
    assert names.asked == ["files.test"]


def test_an_answer_that_changes_afterwards_changes_nothing() -> None:
    names, inner = Names(["93.184.215.14"], ["127.0.0.1"]), Recorder()

    get("http://rebinding.test/", names, inner)
    with pytest.raises(AddressRefused):
        get("http://rebinding.test/", names, inner)

    assert inner.targets == ["93.184.215.14"]
    assert len(names.asked) == 2  # once a call


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0"])
def test_one_bad_address_among_good_ones_is_enough_to_refuse(bad: str) -> None:
    inner = Recorder()

    with pytest.raises(AddressRefused) as refused:
        get("http://mixed.test/", Names(["93.184.215.14", bad]), inner)

    assert not inner.requests
    assert bad not in str(refused.value)


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    inner = Recorder(dead=["2606:4700::1111"])

    get("http://files.test/", Names(["2606:4700::1111", "1.1.1.1"]), inner)

    assert inner.targets == ["2606:4700::1111", "1.1.1.1"]


def test_when_none_answers_the_last_failure_is_told_and_not_all_are_tried() -> None:
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
def test_addresses_in_disguise_and_other_schemes_are_refused_by_every_policy(url: str) -> None:
    inner = Recorder()

    for one in (OPEN, STRICT):
        with pytest.raises((AddressRefused, httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            get(url, Names(["1.1.1.1"]), inner, one=one)
    assert not inner.requests


def test_an_address_that_is_spelled_out_is_not_resolved() -> None:
    names, inner = Names(["1.1.1.1"]), Recorder()

    get("http://192.168.1.5:9000/hook", names, inner, one=OPEN)
    get("http://[fd12::5]/hook", names, inner, one=OPEN)
    with pytest.raises(AddressRefused, match="ALLOW_NETWORKS"):
        get("http://192.168.1.5:9000/hook", names, inner)

    assert inner.targets == ["192.168.1.5", "fd12::5"]
    assert not names.asked


def test_a_name_without_an_address_cannot_be_connected_to() -> None:
    with pytest.raises(httpx2.ConnectError, match="has no address"):
        get("http://files.test/", Names([]), Recorder())


def test_a_name_that_takes_too_long_to_resolve_is_given_up() -> None:
    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def call() -> None:
        async with guarded_client(GuardedTransport(STRICT, resolve=never, inner=Recorder()), 0.05) as client:
            await client.get("http://slow.test/")

    with pytest.raises(httpx2.ConnectTimeout):
        asyncio.run(call())
