"""Which copies of recordings are deleted."""

from __future__ import annotations

from collections.abc import Collection

from scrivano.housekeeping.local_copies import LocalCopies


class Listed:
    """The part of `Blobs` that is used here."""

    def __init__(self, *ids: str) -> None:
        self.ids = set(ids)

    def copies(self) -> Collection[str]:
        return set(self.ids)

    def drop_copy(self, blob_id: str) -> None:
        self.ids.remove(blob_id)


def test_a_copy_that_no_job_needs_goes_after_the_margin() -> None:
    blobs, now, needed = Listed("running", "ended", "new"), [5.0], {"running"}
    copies = LocalCopies(blobs, lambda ids: needed.intersection(ids), margin_s=30, monotonic=lambda: now[0])

    assert copies.sweep() == 0
    needed.add("new")  # its row came after its recording
    now[0] = 35.0
    assert copies.sweep() == 1
    assert blobs.ids == {"running", "new"}


def test_the_database_is_not_asked_about_nothing() -> None:
    def refuse(ids: Collection[str]) -> Collection[str]:
        raise AssertionError

    assert LocalCopies(Listed(), refuse).sweep() == 0
