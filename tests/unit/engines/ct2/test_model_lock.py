"""Threads that share a model, and those that replace it."""

from __future__ import annotations

import threading

import pytest

from scrivano.engines.ct2.model_lock import ModelLock

TIMEOUT_S = 60.0


def test_users_share_and_a_replacer_waits_for_all_of_them() -> None:
    lock, log = ModelLock(2), []
    both_in, go = threading.Barrier(3), threading.Event()

    def use() -> None:
        with lock.shared():
            both_in.wait(TIMEOUT_S)
            go.wait(TIMEOUT_S)
            log.append("used")

    def replace() -> None:
        with lock.exclusive():
            log.append("replaced")

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    both_in.wait(TIMEOUT_S)
    replacer = threading.Thread(target=replace)
    replacer.start()
    assert log == []
    go.set()
    for thread in (*users, replacer):
        thread.join(TIMEOUT_S)

    assert log == ["used", "used", "replaced"]


def test_nobody_is_there_beside_a_replacer() -> None:
    lock = ModelLock(2)
    users: list[int] = []
    replacers: list[int] = []
    seen: list[tuple[int, int]] = []

    def enter(mine: list[int]) -> None:
        for n in range(200):
            with lock.exclusive() if mine is replacers else lock.shared():
                mine.append(n)
                seen.append((len(users), len(replacers)))
                mine.pop()

    threads = [threading.Thread(target=enter, args=(mine,)) for mine in (replacers, replacers, users, users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert len(seen) == 800
    assert all(replacing == 0 or (using, replacing) == (0, 1) for using, replacing in seen)


def test_an_error_gives_it_back() -> None:
    lock = ModelLock(2)
    for enter in (lock.shared, lock.exclusive):
        with pytest.raises(ValueError, match="on the way"), enter():
            raise ValueError("on the way")

    with lock.exclusive():
        pass


def test_urgent_users_wait_for_nobody_and_the_others_for_them() -> None:
    lock, log = ModelLock(1), []

    def use() -> None:
        with lock.shared():
            log.append("used")

    with lock.shared():
        other = threading.Thread(target=use)
        other.start()
        with lock.shared(urgent=True):
            log.append("urgent")
        log.append("first")
    other.join(TIMEOUT_S)

    assert log == ["urgent", "first", "used"]


def test_a_reservation_keeps_a_place_between_the_uses_of_an_urgent_batch() -> None:
    lock, log = ModelLock(2), []
    waiting = threading.Event()

    def use() -> None:
        waiting.set()
        with lock.shared():
            log.append("used")

    with lock.shared():
        other = threading.Thread(target=use)
        with lock.reserved():
            with lock.shared(urgent=True):
                other.start()
                assert waiting.wait(TIMEOUT_S)
            other.join(0.05)
            with lock.shared(urgent=True):
                log.append("urgent")
        other.join(TIMEOUT_S)

    assert log == ["urgent", "used"]


def test_a_reservation_does_not_keep_a_replacer_away() -> None:
    lock = ModelLock(1)

    with lock.reserved(), lock.exclusive():
        pass

    with lock.shared():
        pass
