"""whisper.cpp's model file."""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from model import DECODER_LAYERS, ENCODER_LAYERS, HEADS, MELS, WIDTH, Nano
from tokens import VOCABULARY, ranks
from windows import CONTEXT, FULL

_MAGIC = 0x67676D6C
_F32, _F16, _Q8_0 = 0, 1, 8
_FILE_F16, _FILE_Q8_0 = 1, 2007
_BLOCK = 32

_PARTS = {
    "self_attn.k_proj": "attn.key",
    "self_attn.q_proj": "attn.query",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn.q_proj": "cross_attn.query",
    "encoder_attn.k_proj": "cross_attn.key",
    "encoder_attn.v_proj": "cross_attn.value",
    "encoder_attn.out_proj": "cross_attn.out",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "final_layer_norm": "mlp_ln",
}
_TOP = {
    "encoder.layer_norm.bias": "encoder.ln_post.bias",
    "encoder.layer_norm.weight": "encoder.ln_post.weight",
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.layer_norm.bias": "decoder.ln.bias",
    "decoder.layer_norm.weight": "decoder.ln.weight",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
    "decoder.embed_tokens.weight": "decoder.token_embedding.weight",
}


def write(model: Nano, path: Path, *, q8_0: bool) -> None:
    """float16 or q8_0 matrices, float32 for the rest."""
    filters = FeatureExtractor().mel_filters.astype("<f4")
    with path.open("wb") as file:
        _integers(
            file, _MAGIC, VOCABULARY, FULL, WIDTH, HEADS, ENCODER_LAYERS, CONTEXT, WIDTH, HEADS,
            DECODER_LAYERS + 1, MELS, _FILE_Q8_0 if q8_0 else _FILE_F16,
        )  # fmt: skip
        _integers(file, *filters.shape)
        file.write(filters.tobytes())
        tokens = sorted(ranks().items(), key=lambda item: item[1])
        _integers(file, len(tokens))
        for token, _ in tokens:
            _integers(file, len(token))
            file.write(token)
        for name, value in _with_idle_layer(model.transformers_state()).items():
            _tensor(file, _name(name), value.numpy(), q8_0)


def _integers(file: BinaryIO, *values: int) -> None:
    file.write(struct.pack(f"<{len(values)}i", *values))


def _with_idle_layer(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One more decoder layer, of zeros: an exact identity.

    whisper.cpp takes any decoder of two layers for a distilled model and drops timestamps.
    """
    last = f"model.decoder.layers.{DECODER_LAYERS - 1}."
    idle = {
        name.replace(last, f"model.decoder.layers.{DECODER_LAYERS}."): (
            torch.ones_like(value) if "layer_norm.weight" in name else torch.zeros_like(value)
        )
        for name, value in state.items()
        if name.startswith(last)
    }
    return state | idle


def _name(name: str) -> str:
    name = name.removeprefix("model.")
    if name in _TOP:
        return _TOP[name]
    side, kind, *rest = name.split(".")
    if kind != "layers":
        return name
    number, *part, last = rest
    return ".".join([side, "blocks", number, _PARTS[".".join(part)], last])


def _tensor(file: BinaryIO, name: str, value: NDArray[np.float32], q8_0: bool) -> None:
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        value = value[:, None]
    plain = value.ndim < 2 or ("conv" in name and "bias" in name) or "positional" in name
    kind = _F32 if plain else _Q8_0 if q8_0 and value.ndim == 2 else _F16
    encoded = name.encode()
    _integers(file, value.ndim, len(encoded), kind)
    _integers(file, *reversed(value.shape))
    file.write(encoded)
    data: NDArray[Any] = value.astype("<f2" if kind == _F16 else "<f4")
    file.write((_blocks(value) if kind == _Q8_0 else np.ascontiguousarray(data)).tobytes())


def _blocks(value: NDArray[np.float32]) -> NDArray[np.uint8]:
    """q8_0: 32 signed bytes after their float16 scale."""
    rows = value.astype(np.float32).reshape(-1, _BLOCK)
    scale = (np.abs(rows).max(1) / 127).astype(np.float32)
    quantised = np.round(rows / np.where(scale == 0, 1, scale)[:, None]).astype(np.int8)
    out = np.empty((len(rows), 2 + _BLOCK), np.uint8)
    out[:, :2] = scale.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = quantised.view(np.uint8)
    return out
