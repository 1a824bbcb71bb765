"""Whisper's byte-pair vocabulary: text to tokens, tokens to text and words. Pure code over the bytes of its tokens."""

from __future__ import annotations

import codecs
import itertools
import re
import string
from collections.abc import Iterator, Sequence

__all__ = ["Vocabulary"]

# GPT-2's pattern, except for a few kinds of numerals. Pairs are merged only within a piece.
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")

# Languages without spaces between words; as in Whisper, each of their characters counts as a word.
UNSPACED = frozenset(("zh", "ja", "th", "lo", "my", "yue"))


class Vocabulary:
    """A `Tokenizer` of the window loop."""

    def __init__(self, tokens: Sequence[bytes], timestamp_begin: int) -> None:
        """`tokens`: the bytes of each text token by its number, which is also the order of merging."""
        self._tokens = tokens
        self._numbers = {token: number for number, token in enumerate(tokens) if token}
        self.end_of_text = len(tokens)
        self.timestamp_begin = timestamp_begin

    def encode(self, text: str) -> list[int]:
        return [token for piece in PIECES.findall(text) for token in self._merged(piece.encode())]

    def _merged(self, piece: bytes) -> list[int]:
        """Byte-pair encoding: merge the pair with the lowest number, again and again."""
        parts = [bytes((byte,)) for byte in piece]
        while len(parts) > 1:
            joined = [self._numbers.get(a + b) for a, b in itertools.pairwise(parts)]
            best = min((number for number in joined if number is not None), default=None)
            if best is None:
                break
            at = joined.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self._numbers[part] for part in parts if part in self._numbers]

    def decode(self, tokens: Sequence[int]) -> str:
        data = b"".join(self._tokens[token] for token in tokens if token < self.end_of_text)
        return data.decode(errors="replace")

    def split_words(self, tokens: Sequence[int], language: str) -> tuple[list[str], list[list[int]]]:
        words: list[str] = []
        groups: list[list[int]] = []
        for text, group in self._whole_characters(tokens):
            starts_word = text.startswith(" ") or text.strip() in string.punctuation
            if words and not starts_word and language not in UNSPACED:
                words[-1] += text
                groups[-1].extend(group)
            else:
                words.append(text)
                groups.append(group)
        return words, groups

    def _whole_characters(self, tokens: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
        """Yield text and tokens; tokens that share a character are yielded together."""
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
