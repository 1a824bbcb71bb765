"""Searching transcripts, and correcting them, on a real database."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from store_support import Clock, add, new_job, opened, plan

from scrivano.domain.errors import JobNotFound, SegmentNotFound, TranscriptNotReady
from scrivano.domain.folding import search_terms
from scrivano.domain.job import JobStatus
from scrivano.domain.recording import Waveform
from scrivano.store import migrations
from scrivano.store.jobs import JobStore
from scrivano.store.sqlite import SqliteDatabase
from scrivano.text.corrections import corrected, restored


def segments(*texts: str) -> list[dict[str, Any]]:
    return [{"index": n, "start": n, "end": n + 1, "text": text, "words": []} for n, text in enumerate(texts)]


def done(store: JobStore, clock: Clock, job_id: str, *texts: str, **fields: object) -> None:
    add(store, new_job(job_id, clock, **fields))
    clock.forward(1)
    store.claim(job_id, 60)
    stored = json.dumps(segments(*texts)).encode()
    store.publish_done(job_id, 1, stored, language="en", duration_secs=3.0, text=" ".join(texts))


def found(store: JobStore, query: str, **which: Any) -> list[str]:
    return [job.id for job in store.list_jobs(50, terms=search_terms(query), **which)]


@pytest.fixture
def filled(store: JobStore, clock: Clock) -> JobStore:
    done(store, clock, "a", "The director will arrive", "at the park next week.", owner="anna")
    done(store, clock, "b", "Le budget de l'E\u0301cole: 100 % in %_.", owner="bert")
    done(store, clock, "c", "Nothing.", filename="Budget-2030.MP3", owner="bert")
    add(store, new_job("d", clock, filename="director.wav"))
    return store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["d", "c", "b", "a"]),
        ("director", ["d", "a"]),
        ("WEEK direct", ["a"]),
        ('"arrive at the park"', ["a"]),
        ('"park arrive"', []),
        ("école", ["b"]),
        ("ecole", ["b"]),
        ("budget", ["c", "b"]),
        ("%_", ["b"]),
        ("zebra", []),
    ],
)
def test_jobs_are_found_by_words_of_their_transcript_or_name(filled: JobStore, query: str, expected: list[str]) -> None:
    assert found(filled, query) == expected


def test_a_search_is_one_more_condition(filled: JobStore) -> None:
    assert found(filled, "budget", owner="anna") == []
    assert found(filled, "director", owner="anna") == ["a"]
    assert found(filled, "director", status=JobStatus.QUEUED) == ["d"]


def test_an_excerpt_shows_the_text_around_the_first_word(store: JobStore, clock: Clock) -> None:
    long = " ".join(f"word{n}" for n in range(200))
    done(store, clock, "a", long, "The Über-Director", "came.")
    done(store, clock, "b", "came. Short.")

    excerpts = store.excerpts(["a", "b", "x"], search_terms("zebra uber-director came"))

    assert excerpts["a"].startswith("…word")
    assert excerpts["a"].endswith(" word199 The Über-Director came.")
    assert excerpts["b"] == "came. Short."
    [middle] = store.excerpts(["a"], ["word100"]).values()
    assert middle.startswith("…word9")
    assert middle.endswith("…")
    assert " word100 " in middle
    assert len(middle) <= 162


def test_a_purged_job_is_no_longer_found(filled: JobStore) -> None:
    filled.purge("a")

    assert found(filled, "director") == ["d"]


def test_an_edited_segment_is_served_and_searched(filled: JobStore) -> None:
    edited = filled.edit_segment("a", 1, lambda segment: {**segment, "text": "in the harbour."}, owner="anna")

    assert edited["text"] == "in the harbour."
    texts = [segment["text"] for segment in json.loads(filled.get_result("a") or b"[]")]
    assert texts == ["The director will arrive", "in the harbour."]
    assert (found(filled, "harbour"), found(filled, "park")) == (["a"], [])


def test_the_quality_of_the_job_follows_an_edited_segment(store: JobStore, clock: Clock) -> None:
    words = [{"text": "One", "start": 0.0, "end": 1.0, "probability": 0.2}]
    doubt = {"quality": {"word_probability": 0.2, "doubtful": ["guessed"], "repaired": False}, "words": words}
    segments = [{"text": "One", "start": float(n), "end": n + 1.0, **doubt} for n in range(2)]
    places = [{"index": n, "start": float(n), "end": n + 1.0, "reasons": ["guessed"]} for n in range(2)]
    quality = {"coverage": 0.9, "doubtful": places, "word_probability": 0.2}
    add(store, new_job("a", clock))
    store.claim("a", 60)
    store.publish_done(
        "a", 1, json.dumps(segments).encode(), language="en", duration_secs=2.0, text="One One", quality=quality
    )

    store.edit_segment("a", 1, partial(corrected, text="Two"))
    assert store.get_job("a").quality == {**quality, "doubtful": places[:1], "word_probability": 0.6}

    store.edit_segment("a", 1, restored)
    assert store.get_job("a").quality == quality


def test_only_a_segment_that_exists_can_be_edited(filled: JobStore) -> None:
    with pytest.raises(SegmentNotFound, match="it has 2 segments, numbered from 0"):
        filled.edit_segment("a", 2, dict)
    with pytest.raises(JobNotFound):
        filled.edit_segment("a", 0, dict, owner="bert")
    with pytest.raises(TranscriptNotReady):
        filled.edit_segment("d", 0, dict)


def test_a_waveform_takes_the_place_of_that_of_an_earlier_attempt(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    store.claim("a", 60)
    store.add_chunks("a", 1, plan(1))
    assert store.waveform("a") is None

    for peaks in (b"\x01\x02", b"\x03"):
        store.plan_complete("a", 1, chunks_total=1, duration_secs=1.0, waveform=Waveform(0.5, peaks))
        assert store.waveform("a") == Waveform(0.5, peaks)


def test_transcripts_of_earlier_versions_are_found(tmp_path: Path, path: Path, clock: Clock) -> None:
    earlier = tmp_path / "earlier"
    (earlier / "versions").mkdir(parents=True)
    for name in ("env.py", *(f"versions/r000{n}.py" for n in range(1, 8))):
        shutil.copy(migrations.FOLDER / name, earlier / name)
    SqliteDatabase.open(path, earlier).close()
    names = "id, status, task, progress, options, created_at, attempt, audio_sha256, audio_bytes, request_sha256"
    with closing(sqlite3.connect(path)) as db, db:
        row = ("a", "done", "transcribe", 100, "{}", "2029-01-02 03:04:05", 1, "x", 1, "x")
        db.execute(f"INSERT INTO jobs ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        stored = json.dumps(segments("The E\u0301cole", "is open.")).encode()
        db.execute("INSERT INTO results (job_id, segments) VALUES ('a', ?)", (stored,))

    with opened(path, clock) as store:
        assert found(store, '"ecole is"') == ["a"]
        assert store.excerpts(["a"], ["ecole"]) == {"a": "The École is open."}
