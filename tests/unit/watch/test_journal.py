from __future__ import annotations

import pytest

from scrivano.watch.journal import Entry, Journal, State
from scrivano.watch.settling import Stamp

ENTRY = Entry(stamp=Stamp(5, 6), sha256="ab", state=State.SUBMITTED, job_id="j", attempt=2, sidecars=("a.srt", "a.txt"))


def test_a_journal_is_restored_as_it_was() -> None:
    journal = Journal()
    journal.put("ä/a.mp3", ENTRY)
    assert journal.changed

    restored = Journal.from_json(journal.to_json())

    assert not restored.changed
    assert restored.get("ä/a.mp3") == ENTRY
    assert restored.submitted() == {"ä/a.mp3": ENTRY}
    assert restored.twins("ab", "b.mp3") == {"ä/a.mp3": ENTRY}
    assert restored.twins("ab", "ä/a.mp3") == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2, "recordings": {}}', '{"format": 1, "recordings": {"a": {}}}']
)
def test_a_journal_that_cannot_be_read_is_empty(text: str) -> None:
    assert Journal.from_json(text).submitted() == {}


def test_recordings_that_are_gone_are_forgotten_but_not_all_at_once() -> None:
    journal = Journal({"a": ENTRY, "b": ENTRY})

    journal.drop_missing([])
    assert journal.get("a") == journal.get("b") == ENTRY
    journal.drop_missing(["a"])
    assert (journal.get("a"), journal.get("b")) == (ENTRY, None)
