"""Whisper's byte-pair vocabulary, as pure code over its tokens' bytes: text to tokens, tokens to text and words."""

from __future__ import annotations

import codecs
import itertools
import re
import string
from collections.abc import Iterator, Sequence

__all__ = ["Vocabulary"]

# GPT-2's pattern, but for a few numerals: pairs are merged within a piece only.
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


class Vocabulary:
    """`tokens`: the bytes of each text token, by its number; numbers are also the order of merging."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = tokens
        self._numbers = {token: number for number, token in enumerate(tokens) if token}

    def encode(self, text: str) -> list[int]:
        return [token for piece in PIECES.findall(text) for token in self._merged(piece.encode())]

    def _merged(self, piece: bytes) -> list[int]:
        parts = [bytes((byte,)) for byte in piece]
        while len(parts) > 1:
            joined = [self._numbers.get(a + b) for a, b in itertools.pairwise(parts)]
            best = min((number for number in joined if number is not None), default=None)
            if best is None:
                break
            at = joined.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self._numbers[part] for part in parts if part in self._numbers]

    def text(self, tokens: Sequence[int]) -> str:
        """What is no UTF-8 becomes U+FFFD."""
        return b"".join(self._tokens[token] for token in tokens).decode(errors="replace")

    def split(self, tokens: Sequence[int], *, spaces: bool) -> tuple[list[str], list[list[int]]]:
        """Words and the tokens of each; joined, the words are `text(tokens)`.

        Without `spaces` each character is a word, of as many tokens as it takes; so it is in Whisper.
        """
        words: list[str] = []
        groups: list[list[int]] = []
        for text, group in self._whole(tokens):
            begins = text.startswith(" ") or text.strip() in string.punctuation
            if words and spaces and not begins:
                words[-1] += text
                groups[-1].extend(group)
            else:
                words.append(text)
                groups.append(group)
        return words, groups

    def _whole(self, tokens: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
        """Tokens, those together that share a character."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        text = ""
        group: list[int] = []
        for token in tokens:
            text += decoder.decode(self._tokens[token])
            group.append(token)
            if not decoder.getstate()[0]:
                yield text, group
                text, group = "", []
        if group:
            yield text + decoder.decode(b"", final=True), group
