"""Whisper's sizes with random weights: as much work as the real models, and a text that is the same in every window.

What they write is no speech: they measure speed and nothing else. Weights are random but for the embeddings and the
last projection, which chain tokens: whatever the audio, each token calls for the next one, so that every engine decodes
the same number of tokens a window, with sure enough probabilities that no quality gate asks for another try. Each
place of the chain has as many spellings as Whisper's beam is wide; so all of a beam end at the same step, and none
before or after.

The large shapes are written in float16, and their layers are views of one block of random numbers. So a model of 3 GB
is written as fast as the disk takes it, with little memory.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scrivano.engines.catalog import NANO_FOLDER

FRAMES, CONTEXT, HEAD = 1500, 448, 64
# Of a place's spellings: the beam search's five. The best path has an average log-probability of -0.5.
ODDS = (0.6, 0.16, 0.1, 0.08, 0.06)

# Logit by which the chain's next place stands above all other tokens.
SURE = 24.0

# Standard deviation of random weights. Embeddings are large compared with what the layers add, so the chain holds.
SPREAD = 0.02

# The widest and deepest model with `SPREAD`. In larger ones more layers add more, so their weights are smaller.
SPREAD_WIDTH, SPREAD_LAYERS = 512, 6

# Numbers in the block of random weights, of which the layers of a large model are views. More than its largest matrix.
BLOCK = 1 << 24

# The token that large-v3 has and older models lack. The tokens from here on have moved by one.
CANTONESE, FIRST_MOVED = "<|yue|>", 50358


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes as in openai/whisper; the feed-forward width is four times `width`, a head has 64.

    `mels`: 128 from large-v3 on, whose vocabulary has one token more. `half`: written in float16, else in int8.
    """

    name: str
    width: int
    encoder_layers: int
    decoder_layers: int
    alignment_heads: tuple[tuple[int, int], ...]
    mels: int = 80
    half: bool = False

    @property
    def heads(self) -> int:
        return self.width // HEAD

    @property
    def vocabulary(self) -> int:
        return 51_865 + (self.mels == 128)

    @property
    def parameters(self) -> int:
        """Weights of matrices, convolutions and positions."""
        encoder = self.encoder_layers * 12 * self.width**2 + 3 * self.width * (self.mels + self.width)
        decoder = self.decoder_layers * 16 * self.width**2
        return encoder + decoder + (FRAMES + CONTEXT + self.vocabulary) * self.width

    @property
    def spread(self) -> float:
        """Standard deviation of the weights."""
        layers = max(self.encoder_layers, self.decoder_layers)
        return SPREAD * math.sqrt(min(1, SPREAD_WIDTH / self.width) * min(1, SPREAD_LAYERS / layers))


def _last_half(layers: int, width: int) -> tuple[tuple[int, int], ...]:
    """All heads of the last half of the layers: CTranslate2's converter takes them if a model names no others."""
    return tuple((layer, head) for layer in range(layers // 2, layers) for head in range(width // HEAD))


# Alignment heads: those of `_ALIGNMENT_HEADS` in openai/whisper.
SHAPES = {
    "tiny": Shape(
        name="tiny",
        width=384,
        encoder_layers=4,
        decoder_layers=4,
        alignment_heads=((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)),
    ),
    "base": Shape(
        name="base",
        width=512,
        encoder_layers=6,
        decoder_layers=6,
        alignment_heads=((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)),
    ),
}

LARGE_SHAPES = {
    # For machines without a GPU: the large models' format at a size that a test can run. No published model.
    "mini-128": Shape(
        name="mini-128",
        width=128,
        encoder_layers=2,
        decoder_layers=2,
        alignment_heads=_last_half(2, 128),
        mels=128,
        half=True,
    ),
    "small": Shape(
        name="small",
        width=768,
        encoder_layers=12,
        decoder_layers=12,
        alignment_heads=((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
        half=True,
    ),
    "medium": Shape(
        name="medium",
        width=1024,
        encoder_layers=24,
        decoder_layers=24,
        alignment_heads=((13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)),
        half=True,
    ),
    "large-v3-turbo": Shape(
        name="large-v3-turbo",
        width=1280,
        encoder_layers=32,
        decoder_layers=4,
        alignment_heads=((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)),
        mels=128,
        half=True,
    ),
    "large-v3": Shape(
        name="large-v3",
        width=1280,
        encoder_layers=32,
        decoder_layers=32,
        alignment_heads=(
            (7, 0),
            (10, 17),
            (12, 18),
            (13, 12),
            (16, 1),
            (17, 14),
            (19, 11),
            (21, 4),
            (24, 1),
            (25, 6),
        ),
        mels=128,
        half=True,
    ),
    "distil-large-v3": Shape(
        name="distil-large-v3",
        width=1280,
        encoder_layers=32,
        decoder_layers=2,
        alignment_heads=_last_half(2, 1280),
        mels=128,
        half=True,
    ),
}


# The file that tells a folder of random weights.
RANDOM = "random-weights"


def write_model(folder: Path, shape: Shape, tokens: int, seed: int = 1) -> Path:
    """Write a CTranslate2 folder, int8 or float16, of a Whisper model that returns `tokens` words for every window."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, config = _write_files(folder, shape)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    spec = _spec(shape, chain(tokenizer, tokens, seed), vocabulary, seed)
    for name, ids in config.items():
        setattr(spec.config, name, ids)
    spec.config.alignment_heads = [list(head) for head in shape.alignment_heads]
    spec.validate()
    if not shape.half:  # Else the weights are float16 already, and the search for equal ones would take minutes.
        spec.optimize(quantization="int8")
    spec.save(str(folder))
    (folder / RANDOM).touch()
    return folder


def _write_files(folder: Path, shape: Shape) -> tuple[list[str], dict[str, list[int]]]:
    """Write the files beside the weights. Returns the vocabulary and the token ids of the configuration."""
    processor = json.loads((NANO_FOLDER / "preprocessor_config.json").read_text())
    tokenizer = json.loads((NANO_FOLDER / "tokenizer.json").read_text())
    vocabulary = json.loads((NANO_FOLDER / "vocabulary.json").read_text())
    known = json.loads((NANO_FOLDER / "config.json").read_text())
    config = {name: known[name] for name in ("suppress_ids", "suppress_ids_begin", "lang_ids")}
    if shape.mels == 128:
        processor["feature_size"] = shape.mels
        _add_cantonese(tokenizer)
        vocabulary.insert(FIRST_MOVED, CANTONESE)
        config = {name: [_moved(id) for id in ids] for name, ids in config.items()}
        config["lang_ids"].append(FIRST_MOVED)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    return vocabulary, config


def _moved(id: int) -> int:
    return id + (id >= FIRST_MOVED)


def _add_cantonese(tokenizer: dict[str, Any]) -> None:
    added = tokenizer["added_tokens"]
    for token in added:
        token["id"] = _moved(token["id"])
    for special in tokenizer["post_processor"]["special_tokens"].values():
        special["ids"] = [_moved(id) for id in special["ids"]]
    place = next(n for n, token in enumerate(added) if token["id"] > FIRST_MOVED)
    added.insert(place, {**added[place], "id": FIRST_MOVED, "content": CANTONESE})


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
    spec: Any = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    spec.register_vocabulary(vocabulary)
    weights = _Random(shape, seed)
    weights.encoder(spec.encoder)
    weights.decoder(spec.decoder)
    _chain_tokens(spec.decoder, places, len(vocabulary), weights)
    return spec


def _chain_tokens(decoder: Any, places: list[list[int]], size: int, weights: _Random) -> None:
    width = weights.width
    marks = weights.random.standard_normal((len(places), width)).astype(np.float32)
    marks -= marks.mean(axis=1, keepdims=True)
    marks *= math.sqrt(width) / np.linalg.norm(marks, axis=1, keepdims=True)
    embeddings = weights.normal(size, width).copy()
    projection = np.zeros((size, width), weights.type)
    bias = np.zeros(size, weights.type)
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

    def __init__(self, shape: Shape, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.width = shape.width
        self.type = np.float16 if shape.half else np.float32
        self._mels = shape.mels
        self._spread = shape.spread
        self._block = self._new(BLOCK).astype(np.float16) if shape.half else None

    def encoder(self, spec: Any) -> None:
        spec.conv1.weight, spec.conv1.bias = self.normal(self.width, self._mels, 3), self.normal(self.width)
        spec.conv2.weight, spec.conv2.bias = self.normal(self.width, self.width, 3), self.normal(self.width)
        spec.position_encodings.encodings = self.normal(FRAMES, self.width)
        self._norm(spec.layer_norm)
        for layer in spec.layer:
            self._attention(layer.self_attention)
            self._forward(layer.ffn)

    def decoder(self, spec: Any) -> None:
        spec.position_encodings.encodings = self.normal(CONTEXT, self.width)
        self._norm(spec.layer_norm)
        for layer in spec.layer:
            self._attention(layer.self_attention)
            self._attention(layer.attention)
            self._forward(layer.ffn)

    def normal(self, *size: int) -> NDArray[Any]:
        """Random numbers: new ones in float32, or a view of the block in float16."""
        if self._block is None:
            return self._new(*size)
        count = math.prod(size)
        if count > len(self._block):  # The embeddings.
            return np.resize(self._block, size)
        start = int(self.random.integers(len(self._block) - count + 1))
        return self._block[start : start + count].reshape(size)

    def _new(self, *size: int) -> NDArray[np.float32]:
        return self.random.normal(0, self._spread, size).astype(np.float32)

    def _attention(self, spec: Any) -> None:
        """Self-attention has queries, keys and values in one matrix; cross-attention has two."""
        self._norm(spec.layer_norm)
        parts = (3, 1) if len(spec.linear) == 2 else (1, 2, 1)
        for linear, part in zip(spec.linear, parts, strict=True):
            self._linear(linear, part * self.width, self.width)

    def _forward(self, spec: Any) -> None:
        self._norm(spec.layer_norm)
        self._linear(spec.linear_0, 4 * self.width, self.width)
        self._linear(spec.linear_1, self.width, 4 * self.width)

    def _linear(self, spec: Any, out: int, into: int) -> None:
        spec.weight, spec.bias = self.normal(out, into), self.normal(out)

    def _norm(self, spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(self.width, self.type), np.zeros(self.width, self.type)
