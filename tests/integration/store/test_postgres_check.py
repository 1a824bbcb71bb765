"""What `scrivano doctor` says about a PostgreSQL."""

from __future__ import annotations

import re
import socket

import pytest
from postgres import Cluster

from scrivano.domain.errors import StartError
from scrivano.store.postgres import PostgresDatabase

pytest.importorskip("psycopg")


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]

        with pytest.raises(StartError) as refused:
            PostgresDatabase.check(f"postgresql://anna:secret@127.0.0.1:{port}/speech")

    assert f"cannot use the database postgresql://anna:***@127.0.0.1:{port}/speech" in str(refused.value)


@pytest.mark.slow
def test_a_check_changes_nothing(postgres: Cluster) -> None:
    with postgres.database() as url:
        for _ in range(2):
            assert PostgresDatabase.check(url).endswith(", no tables yet")

        PostgresDatabase.open(url).close()
        assert re.search(r", tables r\d+$", PostgresDatabase.check(url))
