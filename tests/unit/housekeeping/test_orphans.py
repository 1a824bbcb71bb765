"""Which recordings count as orphans."""

from __future__ import annotations

from typing import cast

from scrivano.files.blobs import Blobs
from scrivano.housekeeping.orphans import TOO_MANY, Orphans


class Listed:
    """The part of `Blobs` that is used here."""

    def __init__(self, *ids: str) -> None:
        self.ids = set(ids)

    def stored(self) -> set[str]:
        return set(self.ids)

    def delete(self, blob_id: str) -> None:
        self.ids.remove(blob_id)


def test_a_recording_without_a_job_goes_after_the_margin() -> None:
    blobs, now, needed = Listed("job", "orphan", "late"), [5.0], {"job"}
    orphans = Orphans(cast(Blobs, blobs), lambda: needed, margin_s=100, monotonic=lambda: now[0])

    assert orphans.sweep() == 0
    blobs.ids.add("new")
    now[0] = 104.0
    assert orphans.sweep() == 0
    needed.add("late")
    now[0] = 105.0
    assert orphans.sweep() == 1
    assert blobs.ids == {"job", "late", "new"}


def test_a_recording_that_had_a_job_meanwhile_starts_anew() -> None:
    blobs, now, needed = Listed("a"), [0.0], set[str]()
    orphans = Orphans(cast(Blobs, blobs), lambda: needed, margin_s=100, monotonic=lambda: now[0])
    orphans.sweep()
    needed.add("a")
    now[0] = 90.0
    orphans.sweep()
    needed.clear()
    now[0] = 110.0

    assert orphans.sweep() == 0
    now[0] = 210.0
    assert orphans.sweep() == 1


def test_recordings_of_another_database_are_not_deleted() -> None:
    others = [f"other{number}" for number in range(TOO_MANY + 1)]
    blobs, now = Listed("job", *others), [0.0]
    orphans = Orphans(cast(Blobs, blobs), lambda: {"job"}, margin_s=100, monotonic=lambda: now[0])
    orphans.sweep()
    now[0] = 100.0

    assert orphans.sweep() == 0
    assert len(blobs.ids) == TOO_MANY + 2
