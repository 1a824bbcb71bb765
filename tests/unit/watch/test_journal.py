from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scrivano.watch.journal import Entry, Journal, State
from scrivano.watch.settling import Stamp

ENTRY = Entry(
    stamp=Stamp(5, 6),
    sha256="ab",
    state=State.SUBMITTED,
    job_id="j",
    attempt=2,
    sidecars=("a.srt", "a.txt"),
    options="de",
    extensions=("vtt",),
)


def test_a_journal_is_restored_as_it_was() -> None:
    journal = Journal("7f", changed=False)
    assert not journal.changed
    journal.put("ä/a.mp3", ENTRY)
    assert journal.changed

    restored = Journal.from_json(journal.to_json(), "new")

    assert (restored.id, restored.changed) == ("7f", False)
    assert restored.get("ä/a.mp3") == ENTRY
    assert restored.submitted() == {"ä/a.mp3": ENTRY}
    assert restored.twins("ab", "b.mp3") == {"ä/a.mp3": ENTRY}
    assert restored.twins("ab", "ä/a.mp3") == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2, "recordings": {}}', '{"format": 1, "recordings": {"a": {}}}']
)
def test_a_journal_that_cannot_be_read_is_a_new_one(text: str) -> None:
    journal = Journal.from_json(text, "new")

    assert (journal.id, journal.changed, journal.submitted()) == ("new", True, {})


def test_a_journal_of_an_earlier_version_keeps_its_entries_and_gets_an_id() -> None:
    done = replace(ENTRY, state=State.DONE)
    data = json.loads(Journal("7f", {"a": ENTRY, "b": done}).to_json())
    del data["id"]
    for values in data["recordings"].values():
        del values["options"], values["extensions"]

    journal = Journal.from_json(json.dumps(data), "new")

    assert (journal.id, journal.changed) == ("new", True)
    assert journal.get("a") == replace(ENTRY, options="", extensions=())
    assert journal.get("b") == replace(done, options="", extensions=None)


def test_recordings_that_are_gone_are_forgotten_but_not_all_at_once() -> None:
    journal = Journal("7f", {"a": ENTRY, "b": ENTRY})

    journal.drop_missing([])
    assert journal.get("a") == journal.get("b") == ENTRY
    journal.drop_missing(["a"])
    assert (journal.get("a"), journal.get("b")) == (ENTRY, None)
