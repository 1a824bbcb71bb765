"""Whisper's tokenizer as the files that transformers and CTranslate2 read."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from grammar import sentence
from tokens import TIMESTAMP_S, TIMESTAMPS, VOCABULARY, ranks, special_tokens, whisper_tokenizer

_ODD = ["Héllo wörld 你好 123 <x> don't I'll   spaces\n\ttab", "🙂 è però 1,234.5"]


def write(folder: Path) -> None:
    """tokenizer.json and the older files beside it, and the feature extractor's settings."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = ranks()
    spelled = _byte_letters()
    vocabulary = {_spell(token, spelled): rank for token, rank in merges.items()}
    pairs = [
        (_spell(parts[0], spelled), _spell(parts[1], spelled))
        for token, _ in sorted(merges.items(), key=lambda item: item[1])
        if len(token) > 1 and len(parts := _parts(merges, token)) == 2
    ]
    tokenizer = _tokenizer(vocabulary, pairs)
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = "".join(f"{a} {b}\n" for a, b in pairs)
    (folder / "merges.txt").write_text("#version: 0.2\n" + lines)
    specials = special_tokens()[1:]
    added = {token: tokenizer.token_to_id(token) for token in [*specials, *_timestamps()]}
    for name, content in {
        "vocab.json": vocabulary,
        "added_tokens.json": added,
        "special_tokens_map.json": _SPECIAL | {"additional_special_tokens": specials},
        "tokenizer_config.json": _CONFIG | _SPECIAL | {"additional_special_tokens": specials},
        "preprocessor_config.json": _FEATURES,
        "normalizer.json": {},
    }.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False))


_SPECIAL = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
_CONFIG = {
    "add_bos_token": False,
    "add_prefix_space": False,
    "errors": "replace",
    "clean_up_tokenization_spaces": False,
    "model_max_length": 1024,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "tokenizer_class": "WhisperTokenizer",
}
_FEATURES = {
    "chunk_length": 30,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 80,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "sampling_rate": 16000,
}


def _timestamps() -> list[str]:
    return [f"<|{k * TIMESTAMP_S:.2f}|>" for k in range(TIMESTAMPS)]


def _tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = special_tokens()
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in _timestamps()])
    around = ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftranscript|> <|notimestamps|> $A:0 <|endoftext|>",
        pair="<|startoftranscript|> <|notimestamps|> $A:0 $B:1 <|endoftext|>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in around],
    )
    return tokenizer


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _spell(token: bytes, letters: dict[int, str]) -> str:
    return "".join(letters[byte] for byte in token)


def _parts(merges: dict[bytes, int], token: bytes) -> list[bytes]:
    """The two tokens that this one is merged from."""
    parts = [bytes([byte]) for byte in token]
    while True:
        joined = [(merges.get(a + b), n) for n, (a, b) in enumerate(itertools.pairwise(parts))]
        earlier = [(rank, n) for rank, n in joined if rank is not None and rank < merges[token]]
        if not earlier:
            return parts
        _, n = min(earlier)
        parts = [*parts[:n], parts[n] + parts[n + 1], *parts[n + 2 :]]


def check(folder: Path) -> None:
    """Raises `AssertionError` unless the files agree with openai-whisper's tokenizer."""
    from transformers import WhisperTokenizer

    ours, wanted = Tokenizer.from_file(str(folder / "tokenizer.json")), whisper_tokenizer()
    slow: Any = WhisperTokenizer.from_pretrained(str(folder))
    rng = random.Random(5)
    texts = [" " + text for _ in range(2000) for text in sentence(rng)] + _ODD
    for text in texts:
        ids = ours.encode(text, add_special_tokens=False).ids
        assert ids == wanted.encode(text), text
        assert ours.decode(ids) == wanted.decode(ids), text
    for text in texts[:300]:
        assert slow.encode(text, add_special_tokens=False) == wanted.encode(text), text
    for token, number in wanted.special_tokens.items():
        assert ours.token_to_id(token) == number, token
    assert ours.get_vocab_size() == len(slow) == VOCABULARY
