"""Runs of words of one kind."""

from __future__ import annotations

from scrivano.comparison.spans import align_tokens, spans_of
from scrivano.comparison.tokens import Token, tokens_of
from scrivano.domain.transcript import Segment


def tokens(text: str) -> list[Token]:
    return tokens_of([Segment(start=0, end=len(text), text=text)])


def test_texts_become_runs_with_their_times() -> None:
    a, b = tokens("one two three four"), tokens("one too free four five")

    spans = spans_of(a, b, align_tokens(a, b))

    shown = [(s.kind.value, " ".join(t.text for t in s.a), " ".join(t.text for t in s.b)) for s in spans]
    assert shown == [
        ("equal", "one", "one"),
        ("substituted", "two three", "too free"),
        ("equal", "four", "four"),
        ("inserted", "", "five"),
    ]
    assert spans[0].start == 0.0
    assert spans[-1].end == len("one too free four five")


def test_nothing_is_no_run() -> None:
    assert spans_of([], [], []) == []
