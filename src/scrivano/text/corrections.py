"""A person's correction of a segment, with the model's text kept beside it. Pure.

Segments are JSON objects here, as they are stored: a correction keeps the fields that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from scrivano.domain.quality import word_probability

__all__ = ["corrected", "restored"]

Json = dict[str, Any]

# What a correction changes, and `original` keeps.
_CHANGED = ("text", "words", "tokens", "quality")

# Chinese characters and kana are words of their own: their scripts have no spaces.
_WORD = re.compile(r"\s*(?:[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+)")


def corrected(segment: Mapping[str, Any], text: str) -> Json:
    """The segment with another text; `original` has what it replaces.

    Words that stay keep their times. Those in place of others share the time of these. A person is certain, so the
    probability of a new word is 1, and nothing about the segment is in doubt.
    """
    text = " ".join(text.split())
    model_s = {name: segment[name] for name in _CHANGED if name in segment}
    original = {"words": [], "tokens": [], **model_s, **segment.get("original", {})}
    if text == original["text"]:
        return restored(segment)
    words = _realigned(original["words"], _WORD.findall(text), segment)
    return {**segment, "text": text, "words": words, "tokens": [], **_quality(segment, words), "original": original}


def _quality(segment: Mapping[str, Any], words: Sequence[Json]) -> Json:
    """The field `quality`; none if the segment had none, which is of an earlier version."""
    if "quality" not in segment:
        return {}
    certainty = word_probability([word["probability"] for word in words])
    return {"quality": {**segment["quality"], "word_probability": certainty, "doubtful": []}}


def restored(segment: Mapping[str, Any]) -> Json:
    """The segment with the model's text."""
    plain = {name: value for name, value in segment.items() if name != "original"}
    return {**plain, **segment.get("original", {})}


def _realigned(old: Sequence[Json], new: Sequence[str], segment: Mapping[str, Any]) -> list[Json]:
    """The new words with times; none if the old ones have none."""
    if not old:
        return []
    blocks = SequenceMatcher(None, [_key(word["text"]) for word in old], [_key(word) for word in new], autojunk=False)
    words: list[Json] = []
    for kind, i1, i2, j1, j2 in blocks.get_opcodes():
        if kind == "equal":
            words += [{**old[i], "text": new[j]} for i, j in zip(range(i1, i2), range(j1, j2), strict=True)]
        elif j2 > j1:
            words += _spread(old, i1, i2, new[j1:j2], segment)
    return words


def _spread(old: Sequence[Json], i1: int, i2: int, new: Sequence[str], segment: Mapping[str, Any]) -> list[Json]:
    """New words in place of the old ones from `i1` to `i2`, each with a share of the time by its length.

    Words that are only added get the pause between their neighbours, which may be none.
    """
    start = old[i1]["start"] if i1 < i2 else old[i1 - 1]["end"] if i1 else segment["start"]
    end = old[i2 - 1]["end"] if i1 < i2 else old[i1]["start"] if i1 < len(old) else segment["end"]
    pattern = old[min(i1, len(old) - 1)]
    total = sum(map(len, new))
    placed, words = 0, []
    for word in new:
        share = [start + (end - start) * part / total for part in (placed, placed + len(word))]
        placed += len(word)
        times = {"start": round(share[0], 3), "end": round(share[1], 3)}
        words.append({**pattern, "text": word, **times, "probability": 1.0})
    return words


def _key(word: str) -> str:
    return "".join(char for char in word.casefold() if char.isalnum()) or word.strip()
