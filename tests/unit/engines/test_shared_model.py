"""Users and replacers of one thing."""

from __future__ import annotations

import threading

import pytest

from scrivano.engines.shared_model import Sharing

PATIENCE_S = 10.0


def test_users_share_and_a_replacer_waits_for_all_of_them() -> None:
    sharing, log = Sharing(2), []
    both_in, go = threading.Barrier(3), threading.Event()

    def use() -> None:
        with sharing.use():
            both_in.wait(PATIENCE_S)
            go.wait(PATIENCE_S)
            log.append("used")

    def replace() -> None:
        with sharing.alone():
            log.append("replaced")

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    both_in.wait(PATIENCE_S)
    replacer = threading.Thread(target=replace)
    replacer.start()
    assert log == []
    go.set()
    for thread in (*users, replacer):
        thread.join(PATIENCE_S)

    assert log == ["used", "used", "replaced"]


def test_nobody_is_there_beside_a_replacer() -> None:
    sharing = Sharing(2)
    users: list[int] = []
    replacers: list[int] = []
    seen: list[tuple[int, int]] = []

    def enter(mine: list[int]) -> None:
        for n in range(200):
            with sharing.alone() if mine is replacers else sharing.use():
                mine.append(n)
                seen.append((len(users), len(replacers)))
                mine.pop()

    threads = [threading.Thread(target=enter, args=(mine,)) for mine in (replacers, replacers, users, users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert len(seen) == 800
    assert all(replacing == 0 or (using, replacing) == (0, 1) for using, replacing in seen)


def test_an_error_gives_it_back() -> None:
    sharing = Sharing(2)
    for enter in (sharing.use, sharing.alone):
        with pytest.raises(ValueError, match="on the way"), enter():
            raise ValueError("on the way")

    with sharing.alone():
        pass


def test_urgent_users_wait_for_nobody_and_the_others_for_them() -> None:
    sharing, log = Sharing(1), []

    def use() -> None:
        with sharing.use():
            log.append("used")

    with sharing.use():
        other = threading.Thread(target=use)
        other.start()
        with sharing.use(urgent=True):
            log.append("urgent")
        log.append("first")
    other.join(PATIENCE_S)

    assert log == ["urgent", "first", "used"]
