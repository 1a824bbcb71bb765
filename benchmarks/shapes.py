"""Whisper's sizes with random weights: as much work as the real models, and a text that is the same in every window.

What they write is no speech: they measure speed and nothing else. Weights are random but for the embeddings and the
last projection, which chain tokens: whatever the audio, each token calls for the next one, so that every engine decodes
the same number of tokens a window, with sure enough probabilities that no quality gate asks for another try. Each
place of the chain has as many spellings as Whisper's beam is wide; so all of a beam end at the same step, and none
before or after.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scrivano.engines.catalog import NANO_FOLDER

MELS, FRAMES, CONTEXT, HEAD = 80, 1500, 448, 64
# Of a place's spellings: the beam search's five. The best path has an average log-probability of -0.5.
ODDS = (0.6, 0.16, 0.1, 0.08, 0.06)

# Logit by which the chain's next place stands above all other tokens.
SURE = 24.0

# Standard deviation of random weights. Embeddings are large compared with what the layers add, so the chain holds.
SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes as in openai/whisper; the feed-forward width is four times `width`, a head has 64."""

    name: str
    width: int
    layers: int
    alignment_heads: tuple[tuple[int, int], ...]

    @property
    def heads(self) -> int:
        return self.width // HEAD


SHAPES = {
    "tiny": Shape("tiny", 384, 4, ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5))),
    "base": Shape("base", 512, 6, ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6))),
}


def write_model(folder: Path, shape: Shape, tokens: int, seed: int = 1) -> Path:
    """Write a CTranslate2 folder, int8, of a Whisper model that returns `tokens` words for every window."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "preprocessor_config.json"):
        shutil.copy(NANO_FOLDER / name, folder / name)
    vocabulary = json.loads((NANO_FOLDER / "vocabulary.json").read_text())
    spec = _spec(shape, chain(Tokenizer.from_file(str(NANO_FOLDER / "tokenizer.json")), tokens, seed), vocabulary, seed)
    known = json.loads((NANO_FOLDER / "config.json").read_text())
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        setattr(spec.config, name, known[name])
    spec.config.alignment_heads = [list(head) for head in shape.alignment_heads]
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    return folder


def chain(tokenizer: Tokenizer, tokens: int, seed: int) -> list[list[int]]:
    """Places in their order, each with its spellings: start, language, task, first time, the words, last time, end."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    begin, end = vocabulary["<|0.00|>"], vocabulary["<|endoftext|>"]
    plain = sorted(id for text, id in vocabulary.items() if len(text) > 3 and text[0] == "Ġ" and text[1:].isalpha())
    words = np.random.default_rng(seed).permutation([id for id in plain if id < end])[: tokens * len(ODDS)]
    return [
        *([vocabulary[f"<|{name}|>"]] for name in ("startoftranscript", "en", "transcribe")),
        [begin + n for n in range(len(ODDS))],
        *words.reshape(tokens, len(ODDS)).tolist(),
        [begin + FRAMES - n for n in range(len(ODDS))],
        [end],
    ]


def _spec(shape: Shape, places: list[list[int]], vocabulary: list[str], seed: int) -> Any:
    spec: Any = WhisperSpec(shape.layers, shape.heads, shape.layers, shape.heads)
    spec.register_vocabulary(vocabulary)
    weights = _Random(shape.width, seed)
    weights.encoder(spec.encoder)
    weights.decoder(spec.decoder)
    _chain_tokens(spec.decoder, places, len(vocabulary), shape.width, weights.random)
    return spec


def _chain_tokens(decoder: Any, places: list[list[int]], size: int, width: int, random: np.random.Generator) -> None:
    marks = random.standard_normal((len(places), width)).astype(np.float32)
    marks -= marks.mean(axis=1, keepdims=True)
    marks *= math.sqrt(width) / np.linalg.norm(marks, axis=1, keepdims=True)
    embeddings = random.normal(0, SPREAD, (size, width)).astype(np.float32)
    projection = np.zeros((size, width), np.float32)
    bias = np.zeros(size, np.float32)
    for n, place in enumerate(places):
        embeddings[place] = 4 * marks[n]
        if n:
            projection[place] = SURE / width * marks[n - 1]
            bias[place] = np.log(ODDS[: len(place)]) if len(place) > 1 else 0
    no_timestamps = places[3][0] - 1  # With it in the prompt, the words follow immediately.
    embeddings[no_timestamps] = 4 * marks[3]
    decoder.embeddings.weight = embeddings
    decoder.projection.weight = projection
    decoder.projection.bias = bias


class _Random:
    """Fills a CTranslate2 specification with weights."""

    def __init__(self, width: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._width = width

    def encoder(self, spec: Any) -> None:
        spec.conv1.weight, spec.conv1.bias = self._normal(self._width, MELS, 3), self._normal(self._width)
        spec.conv2.weight, spec.conv2.bias = self._normal(self._width, self._width, 3), self._normal(self._width)
        spec.position_encodings.encodings = self._normal(FRAMES, self._width)
        self._norm(spec.layer_norm)
        for layer in spec.layer:
            self._attention(layer.self_attention)
            self._forward(layer.ffn)

    def decoder(self, spec: Any) -> None:
        spec.position_encodings.encodings = self._normal(CONTEXT, self._width)
        self._norm(spec.layer_norm)
        for layer in spec.layer:
            self._attention(layer.self_attention)
            self._attention(layer.attention)
            self._forward(layer.ffn)

    def _attention(self, spec: Any) -> None:
        """Self-attention has queries, keys and values in one matrix; cross-attention has two."""
        self._norm(spec.layer_norm)
        parts = (3, 1) if len(spec.linear) == 2 else (1, 2, 1)
        for linear, part in zip(spec.linear, parts, strict=True):
            self._linear(linear, part * self._width, self._width)

    def _forward(self, spec: Any) -> None:
        self._norm(spec.layer_norm)
        self._linear(spec.linear_0, 4 * self._width, self._width)
        self._linear(spec.linear_1, self._width, 4 * self._width)

    def _linear(self, spec: Any, out: int, into: int) -> None:
        spec.weight, spec.bias = self._normal(out, into), self._normal(out)

    def _norm(self, spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(self._width, np.float32), np.zeros(self._width, np.float32)

    def _normal(self, *size: int) -> NDArray[np.float32]:
        return self.random.normal(0, SPREAD, size).astype(np.float32)
