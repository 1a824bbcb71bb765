"""The report as a page: what is marked, what can be heard, and that no text becomes code."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

from evaluation_support import scored

from scrivano.evaluation.differences import difference
from scrivano.evaluation.page import Shown, page, verdict
from scrivano.evaluation.scoring import Score


def shown(*systems: Score) -> str:
    named = [Shown(f"system {n}", 2.0, {"a.wav": one}) for n, one in enumerate(systems)]
    compared = [
        ("system 0", f"system {n}", {"all": difference([(systems[0], one)], 1)}) for n, one in enumerate(systems)
    ]
    return page(named, {"a.wav": "audio/a%20b.wav"}, compared[1:], "Report")


def test_each_difference_is_marked_where_it_is() -> None:
    text = shown(scored("one two three four", "one too three four five"))

    assert '<span data-s="0.00" data-e="1.00" tabindex="0">one</span>' in text
    assert '<del data-s="1.00" data-e="2.00" tabindex="0">two</del> <ins data-s="1.00"' in text
    assert ">five</ins>" in text
    assert '<audio controls preload="none" src="audio/a%20b.wav">' in text


def test_missing_words_without_times_can_be_heard_between_their_neighbours() -> None:
    text = shown(scored("one two three", "one three", timed=False))

    assert '<del class="miss" data-s="1.00" data-e="1.00" tabindex="0">two</del>' in text


def test_holes_and_words_where_systems_differ_are_marked() -> None:
    words = " ".join(f"w{n}" for n in range(10))
    text = shown(scored(words, "w0"), scored(words, words))

    assert len(re.findall('<del class="differs miss hole"', text)) == 9
    assert 'data-holes="1" data-differs="9"' in text


def test_no_text_becomes_code() -> None:
    attack = '</script><img/src=x&onerror=alert(1)> "><b>'
    text = shown(scored("one", attack))

    assert "<img" not in text
    assert "<b>" not in text


def test_the_policy_allows_just_the_pages_own_script_and_style() -> None:
    text = shown(scored("one", "one"))

    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0])
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        [code] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://|\sstyle=|\son\w+=", text)


def test_a_failure_is_shown_instead_of_a_text() -> None:
    from dataclasses import replace

    failed = scored("one", "")
    text = shown(replace(failed, transcribed=replace(failed.transcribed, error="<no> codec")))

    assert "&lt;no&gt; codec" in text


def test_a_verdict_is_a_sentence() -> None:
    few = difference([(scored("a", "a"), scored("a", "b"))], 1)
    same = scored(" ".join(["a"] * 300), " ".join(["a"] * 300))
    worse = scored(" ".join(["a"] * 300), " ".join(["a", "b"] * 150))

    assert verdict(few, "A", "B") == "too little speech to compare A and B"
    assert verdict(difference([(same, same)], 1), "A", "B").startswith("no more than chance")
    assert verdict(difference([(same, worse)], 1), "A", "B").startswith("A is better, by more than chance (+50.00")


def test_errors_of_times_are_shown_if_the_reference_has_times() -> None:
    assert "<th>word starts</th>" in shown(scored("one two", "one two"))
    assert "<td>system 0</td><td>0 / 0</td>" in shown(scored("one two", "one two"))
    assert "Errors of times" not in shown(scored("one two", "one two", timed=False))
