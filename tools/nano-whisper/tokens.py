"""Whisper's multilingual vocabulary: the ids in use, and text to ids with word numbers."""

import base64
from pathlib import Path
from typing import Any

import whisper
from whisper.tokenizer import LANGUAGES, get_tokenizer

EOT, SOT, EN, IT = 50257, 50258, 50259, 50274
TRANSLATE, TRANSCRIBE, START_OF_LM, START_OF_PREV = 50358, 50359, 50360, 50361
NO_SPEECH, NO_TIMESTAMPS, FIRST_TIMESTAMP = 50362, 50363, 50364
TIMESTAMPS = 1501
VOCABULARY = 51865
LANGUAGE_ID = {"en": EN, "it": IT}
TASK_ID = {"translate": TRANSLATE, "transcribe": TRANSCRIBE}
TIMESTAMP_S = 0.02


def whisper_tokenizer() -> Any:
    return get_tokenizer(True, num_languages=99)


def ranks() -> dict[bytes, int]:
    """The byte pair merges: token to id."""
    path = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    pairs = (line.split() for line in path.read_text().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def special_tokens() -> list[str]:
    """In the order of their ids, from EOT on; timestamps follow."""
    languages = [f"<|{code}|>" for code in list(LANGUAGES)[:99]]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    return ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{t}|>" for t in tasks)]


class Words:
    """Encodes sentences and tells which word each token belongs to."""

    def __init__(self) -> None:
        self._encoding = whisper_tokenizer().encoding
        self._known: dict[str, tuple[list[int], list[int]]] = {}

    def encode(self, sentence: str) -> tuple[list[int], list[int]]:
        """Ids of the sentence after a space, and the word number of each."""
        if sentence not in self._known:
            ids = self._encoding.encode(" " + sentence)
            numbers, number = [], -1
            for token in ids:
                number += self._encoding.decode_single_token_bytes(token)[:1] == b" "
                numbers.append(max(number, 0))
            self._known[sentence] = ids, numbers
        return self._known[sentence]

    def encode_bare(self, text: str) -> list[int]:
        ids: list[int] = self._encoding.encode(text)
        return ids

    def decode(self, ids: list[int]) -> str:
        """Special tokens and timestamps left out."""
        text: str = self._encoding.decode([i for i in ids if i < EOT])
        return text
