"""The bundled model as a GGML file, converted from its CTranslate2 file, for the tests of whisper.cpp.

`tools/nano-whisper/ggml.py` writes the same from a checkpoint, which the repository does not have.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from scrivano.engines.catalog import NANO_FOLDER

Array = NDArray[Any]

__all__ = ["text_tokens", "write_nano"]

WIDTH, HEADS, MELS, VOCABULARY, CONTEXT, FULL = 128, 2, 80, 51865, 448, 1500
ENCODER_LAYERS, DECODER_LAYERS = 4, 2
END_OF_TEXT = 50257
TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2")
F32, F16, Q8_0 = 0, 1, 8
FILE_Q8_0 = 2007
BLOCK = 32


def write_nano(path: Path) -> Path:
    """Write q8_0 matrices, float16 convolutions, and float32 for everything else."""
    filters = FeatureExtractor().mel_filters.astype("<f4")
    with path.open("wb") as file:
        _integers(
            file, 0x67676D6C, VOCABULARY, FULL, WIDTH, HEADS, ENCODER_LAYERS, CONTEXT, WIDTH, HEADS,
            DECODER_LAYERS + 1, MELS, FILE_Q8_0,
        )  # fmt: skip
        _integers(file, *filters.shape)
        file.write(filters.tobytes())
        tokens = text_tokens()
        _integers(file, len(tokens))
        for token in tokens:
            _integers(file, len(token))
            file.write(token)
        for name, value in _renamed(_weights()).items():
            _tensor(file, name, value)
    return path


def _weights() -> dict[str, Array]:
    """The weights by CTranslate2's names (binary format, version 6); quantised weights are dequantised."""
    with (NANO_FOLDER / "model.bin").open("rb") as file:
        (version,) = struct.unpack("<I", file.read(4))
        assert version == 6
        _text(file)
        _, count = struct.unpack("<II", file.read(8))
        weights = {}
        for _ in range(count):
            name = _text(file)
            (rank,) = file.read(1)
            shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
            (kind,) = file.read(1)
            (size,) = struct.unpack("<I", file.read(4))
            weights[name] = np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)
    return {
        name: _plain(value, weights.get(f"{name}_scale"))
        for name, value in weights.items()
        if value.ndim and not name.endswith("_scale")
    }


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<H", file.read(2))
    return file.read(length)[:-1].decode()


def _plain(value: Array, scale: Array | None) -> Array:
    whole = value.astype("<f4")
    return whole if scale is None else whole / scale.reshape(-1, *[1] * (value.ndim - 1))


def _renamed(weights: dict[str, Array]) -> dict[str, Array]:
    named = {
        "encoder.positional_embedding": weights["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": weights["decoder/position_encodings/encodings"],
        "decoder.token_embedding.weight": weights["decoder/embeddings/weight"],
        "encoder.conv1.weight": weights["encoder/conv1/weight"],
        "encoder.conv1.bias": weights["encoder/conv1/bias"][:, None],
        "encoder.conv2.weight": weights["encoder/conv2/weight"],
        "encoder.conv2.bias": weights["encoder/conv2/bias"][:, None],
        **_norm("encoder.ln_post", weights, "encoder/layer_norm"),
        **_norm("decoder.ln", weights, "decoder/layer_norm"),
    }
    for layer in range(ENCODER_LAYERS):
        named |= _layer(f"encoder.blocks.{layer}", weights, f"encoder/layer_{layer}")
    for layer in range(DECODER_LAYERS):
        block = _layer(f"decoder.blocks.{layer}", weights, f"decoder/layer_{layer}")
        block |= _cross_attention(f"decoder.blocks.{layer}", weights, f"decoder/layer_{layer}")
        named |= block
    # whisper.cpp treats a model with two decoder layers as a distilled model without timestamps. So a layer of zeros is
    # added, which changes nothing.
    for name, value in block.items():
        idle = np.ones_like(value) if "_ln.weight" in name else np.zeros_like(value)
        named[name.replace(f"blocks.{DECODER_LAYERS - 1}", f"blocks.{DECODER_LAYERS}")] = idle
    return named


def _layer(name: str, weights: dict[str, Array], source: str) -> dict[str, Array]:
    query, key, value = np.split(weights[f"{source}/self_attention/linear_0/weight"], 3)
    query_bias, _, value_bias = np.split(weights[f"{source}/self_attention/linear_0/bias"], 3)
    return {
        f"{name}.attn.query.weight": query,
        f"{name}.attn.query.bias": query_bias,
        f"{name}.attn.key.weight": key,
        f"{name}.attn.value.weight": value,
        f"{name}.attn.value.bias": value_bias,
        **_linear(f"{name}.attn.out", weights, f"{source}/self_attention/linear_1"),
        **_norm(f"{name}.attn_ln", weights, f"{source}/self_attention/layer_norm"),
        **_linear(f"{name}.mlp.0", weights, f"{source}/ffn/linear_0"),
        **_linear(f"{name}.mlp.2", weights, f"{source}/ffn/linear_1"),
        **_norm(f"{name}.mlp_ln", weights, f"{source}/ffn/layer_norm"),
    }


def _cross_attention(name: str, weights: dict[str, Array], source: str) -> dict[str, Array]:
    key, value = np.split(weights[f"{source}/attention/linear_1/weight"], 2)
    return {
        **_linear(f"{name}.cross_attn.query", weights, f"{source}/attention/linear_0"),
        f"{name}.cross_attn.key.weight": key,
        f"{name}.cross_attn.value.weight": value,
        f"{name}.cross_attn.value.bias": np.split(weights[f"{source}/attention/linear_1/bias"], 2)[1],
        **_linear(f"{name}.cross_attn.out", weights, f"{source}/attention/linear_2"),
        **_norm(f"{name}.cross_attn_ln", weights, f"{source}/attention/layer_norm"),
    }


def _linear(name: str, weights: dict[str, Array], source: str) -> dict[str, Array]:
    return {f"{name}.weight": weights[f"{source}/weight"], f"{name}.bias": weights[f"{source}/bias"]}


def _norm(name: str, weights: dict[str, Array], source: str) -> dict[str, Array]:
    return {f"{name}.weight": weights[f"{source}/gamma"], f"{name}.bias": weights[f"{source}/beta"]}


def text_tokens() -> list[bytes]:
    """The bytes of each text token, by its number. GPT-2 writes bytes as letters: themselves, or from 256 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    bytes_of = {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
    vocabulary = json.loads((NANO_FOLDER / "vocabulary.json").read_text())
    return [bytes(bytes_of[letter] for letter in token) for token in vocabulary[:END_OF_TEXT]]


def _integers(file: BinaryIO, *values: int) -> None:
    file.write(struct.pack(f"<{len(values)}i", *values))


def _tensor(file: BinaryIO, name: str, value: Array) -> None:
    plain = value.ndim < 2 or "positional" in name or "conv1.bias" in name or "conv2.bias" in name
    kind = F32 if plain else Q8_0 if value.ndim == 2 else F16
    encoded = name.encode()
    _integers(file, value.ndim, len(encoded), kind)
    _integers(file, *reversed(value.shape))
    file.write(encoded)
    data = _blocks(value) if kind == Q8_0 else np.ascontiguousarray(value, "<f2" if kind == F16 else "<f4")
    file.write(data.tobytes())


def _blocks(value: Array) -> Array:
    """Write q8_0: a float16 scale, then 32 signed bytes."""
    rows = value.reshape(-1, BLOCK)
    scale = np.abs(rows).max(1) / 127
    out = np.empty((len(rows), 2 + BLOCK), np.uint8)
    out[:, :2] = scale.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = np.round(rows / np.where(scale == 0, 1, scale)[:, None]).astype(np.int8).view(np.uint8)
    return out
