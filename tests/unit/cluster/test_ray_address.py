"""What is said about an address of a Ray cluster that cannot be used."""

from __future__ import annotations

import socket

import pytest

from scrivano.cli.checks import check_ray
from scrivano.cluster.ray_address import check_listening, unusable
from scrivano.domain.errors import StartError


def test_a_dead_address_is_named_with_what_to_check() -> None:
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"

        with pytest.raises(StartError) as refused:
            check_listening(address, wait_s=0)

    assert f"RAY_ADDRESS is '{address}'" in str(refused.value)
    assert "ray start --head" in str(refused.value)


def test_an_address_at_which_something_listens_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        assert check_listening(address, wait_s=0)
        assert check_ray(address) == f"something listens at {address}"


@pytest.mark.parametrize("address", ["auto", "local", "ray://head.example.org:10001"])
def test_what_names_no_port_is_left_to_ray(address: str) -> None:
    assert not check_listening(address, wait_s=0)
    assert "not tried" in check_ray(address)


def test_a_cluster_that_refuses_is_told_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    said = str(unusable("10.0.0.10:6379", "Failed to connect"))

    assert "RAY_ADDRESS is '10.0.0.10:6379'" in said
    assert "RAY_AUTH_TOKEN is set" in said

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    said = str(unusable("10.0.0.10:6379", "Failed to connect"))
    assert "RAY_AUTH_TOKEN is the one of its head" in said
    assert "secret" not in said
