"""Which word belongs to which, with the fewest edits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import word_error_rate

from scrivano.comparison import alignment
from scrivano.comparison.alignment import Counts, Kind, Step, align, count

texts = st.lists(st.sampled_from("abcde"), max_size=12)


def kinds(a: str, b: str) -> str:
    return "".join(step.kind.value[0] for step in align(a.split(), b.split()))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", ""),
        ("a b", "a b", "ee"),
        ("a b c", "a x c", "ese"),
        ("a b c", "a c", "ede"),
        ("a c", "a b c", "eie"),
        ("a b", "", "dd"),
        ("", "a b", "ii"),
        ("a b c d", "b c d e", "deeei"),
    ],
)
def test_short_texts(a: str, b: str, expected: str) -> None:
    assert kinds(a, b) == expected


@given(texts, texts)
def test_every_place_of_both_texts_is_in_one_step_and_the_edits_are_the_fewest(a: list[str], b: list[str]) -> None:
    steps = align(a, b)

    assert [step.a for step in steps if step.a is not None] == list(range(len(a)))
    assert [step.b for step in steps if step.b is not None] == list(range(len(b)))
    for step in steps:
        if step.a is not None and step.b is not None:
            assert (a[step.a] == b[step.b]) == (step.kind is Kind.EQUAL)
        else:
            assert step.kind is (Kind.DELETED if step.b is None else Kind.INSERTED)
    if a:
        assert count(steps).edits == round(word_error_rate(" ".join(a), " ".join(b)) * len(a))


def test_counts_are_those_of_both_texts() -> None:
    counts = count(align(list("abcd"), list("axdef")))

    assert (counts.first, counts.second, counts.edits) == (4, 5, 4)
    assert counts + counts == Counts(
        equal=2 * counts.equal,
        substituted=2 * counts.substituted,
        deleted=2 * counts.deleted,
        inserted=2 * counts.inserted,
    )


def test_long_texts_are_divided_and_the_edits_stay_the_fewest() -> None:
    lot = random.Random(5)
    words = [lot.choice(["the", "of", "and", str(lot.randrange(400))]) for _ in range(20_000)]
    heard, made = list[str](), 0
    for word in words:
        chance = lot.random()
        if chance < 0.02:
            made += 1
        elif chance < 0.04:
            heard += [f"x{word}"]
            made += 1
        else:
            heard += [word]
    del words[9_000:9_300]

    counts = count(align(words, heard))

    assert (counts.first, counts.second) == (len(words), len(heard))
    assert counts.edits <= made + 300


def test_texts_without_a_word_in_common_are_aligned_as_well() -> None:
    a, b = ["a"] * 1500, ["b"] * 1501
    assert len(a) * len(b) > alignment.EXACT_CELLS

    counts = count(align(a, b))

    assert (counts.substituted, counts.inserted) == (1500, 1)


def test_a_step_names_places() -> None:
    assert align(["a"], ["b"]) == [Step(Kind.SUBSTITUTED, 0, 0)]
