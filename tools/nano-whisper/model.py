"""Whisper in its smallest form: the graph and the parameter names of transformers' Whisper."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokens import FIRST_TIMESTAMP, TIMESTAMPS, VOCABULARY
from windows import CHARACTERS, CONTEXT, FULL

WIDTH, HEADS, ENCODER_LAYERS, DECODER_LAYERS, MELS = 128, 2, 4, 2, 80
# Decoder layer and head that find the next token: the alignment head, for word times.
ALIGN = (1, 0)
# Decoder layer and head that find the token just read, for layer 1 to go on from there.
TRACK = (0, 0)


def sinusoids(length: int, channels: int) -> Tensor:
    """(length, channels): sines, then cosines, as in Whisper."""
    step = math.log(10000) / (channels // 2 - 1)
    rates = torch.exp(-step * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        q, k, v = (self._split(f(x)) for f in (self.q_proj, self.k_proj, self.v_proj))
        if not causal and x.shape[1] <= 800:  # on a CPU plain products beat the fused kernel here
            weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1)
            out = weights.to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self._merged(out)

    def across(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Attention to `memory`, and its weights (batch, heads, tokens, positions)."""
        q, k, v = self._split(self.q_proj(x)), *map(self._split, self._keys_values(memory))
        weights = torch.softmax((q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1]), -1)
        return self._merged(weights.to(v.dtype) @ v), weights

    def _keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.k_proj(memory), self.v_proj(memory)

    def _merged(self, out: Tensor) -> Tensor:
        merged: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return merged


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        out: Tensor = self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return x + out


class DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        x = x + self.self_attn(self.self_attn_layer_norm(x), causal=True)
        out, weights = self.encoder_attn.across(self.encoder_attn_layer_norm(x), memory)
        x = x + out
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x)))), weights


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(FULL, WIDTH)
        self.embed_positions.weight = nn.Parameter(sinusoids(FULL, WIDTH), requires_grad=False)
        self.layers = nn.ModuleList(EncoderLayer(WIDTH, HEADS) for _ in range(ENCODER_LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def blocks(self) -> list[EncoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, EncoderLayer)]

    def convolved(self, mel: Tensor) -> Tensor:
        x: Tensor = self.conv2(F.gelu(self.conv1(mel)))
        return F.gelu(x).transpose(1, 2)

    def forward(self, mel: Tensor, offsets: Tensor | None = None) -> Tensor:
        """(batch, mels, 2 n) to (batch, n, width); `offsets` are the first positions, 0 if none."""
        x = self.convolved(mel)
        positions = torch.arange(x.shape[1])[None]
        if offsets is not None:
            positions = offsets[:, None] + positions
        x = x + self.embed_positions.weight[positions]
        for layer in self.layers:
            x = layer(x)
        normed: Tensor = self.layer_norm(x)
        return normed


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_positions = nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.ModuleList(DecoderLayer(WIDTH, HEADS) for _ in range(DECODER_LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)


class Nano(nn.Module):
    """The model with a compact table of tokens.

    `used` are the sorted ids below the timestamps that have a row of their own; all others share
    the next row, and a timestamp's row is a linear map of its sinusoid.
    """

    to_compact: Tensor
    _phases: Tensor

    def __init__(self, used: Sequence[int]) -> None:
        super().__init__()
        self.used = list(used)
        self.shared = len(used)
        self.others = FIRST_TIMESTAMP - len(used)
        """How many ids share row `shared`."""
        self.encoder, self.decoder = Encoder(), Decoder()
        self.rows = nn.Parameter(torch.randn(self.shared + 1, WIDTH) * 0.02)
        self.register_buffer("_phases", sinusoids(TIMESTAMPS, WIDTH), persistent=False)
        self.ts_map = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("to_compact", self._compact_ids(), persistent=False)
        self.ctc = nn.Linear(WIDTH, len(CHARACTERS) + 1)
        self._initialise()

    def _compact_ids(self) -> Tensor:
        compact = torch.full((VOCABULARY,), self.shared, dtype=torch.long)
        compact[torch.tensor(self.used)] = torch.arange(len(self.used))
        timestamps = torch.arange(VOCABULARY - FIRST_TIMESTAMP)
        compact[FIRST_TIMESTAMP:] = self.shared + 1 + timestamps
        return compact

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.05)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.decoder.embed_positions.weight, std=0.02)
        nn.init.normal_(self.ts_map.weight, std=0.03)

    def table(self) -> Tensor:
        """A row for each compact id."""
        return torch.cat([self.rows, self.ts_map(self._phases)], 0)

    def decode(self, tokens: Tensor, memory: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Compact ids (batch, n) to hidden states, each layer's attention, the token table."""
        table = self.table()
        x = F.embedding(tokens, table) + self.decoder.embed_positions.weight[: tokens.shape[1]]
        weights = []
        for layer in self.decoder.layers:
            x, attention = layer(x, memory)
            weights.append(attention)
        return self.decoder.layer_norm(x), weights, table

    def logits(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Over compact ids; the shared row counts for all the ids that share it."""
        scores = (hidden @ table.to(hidden.dtype).t()).float()
        bias = torch.zeros(scores.shape[-1])
        bias[self.shared] = math.log(self.others)
        return scores + bias

    def transformers_state(self) -> dict[str, Tensor]:
        """The weights under transformers' names, with the full table."""
        state = {
            "model." + name: value.detach().float().clone()
            for name, value in self.state_dict().items()
            if name.startswith(("encoder.", "decoder."))
        }
        rows = self.table().detach()[self.to_compact]
        state["model.decoder.embed_tokens.weight"] = rows.float().clone()
        return state


def load(checkpoint: Path) -> Nano:
    saved = torch.load(checkpoint, weights_only=True)
    model = Nano(saved["used"])
    model.load_state_dict(saved["model"])
    return model.eval()


# A start for the encoder, for so short a training: without it, its heads stay diffuse.

# Per layer and head: the frame to look at first, from one's own.
_SHIFTS = ((-2, 2), (-4, 4), (-7, 7))
_FREQUENCIES = 14
_SHARPNESS = 0.7


def start_local(model: Nano, mel: Tensor) -> None:
    """Start the first encoder layers as a time-delay network. Everything stays trainable.

    A few sinusoids keep channels of their own in the residual stream, and each head attends to the
    frame `_SHIFTS[layer][head]` away. `mel` is some speech, to measure the stream's spread.
    """
    for _ in range(2):  # the second pass uses the spread that the first one leaves
        with torch.no_grad():
            _start_local(model.encoder, _spreads(model.encoder, mel))


def _spreads(encoder: Encoder, mel: Tensor) -> list[float]:
    """Standard deviation of the residual stream that enters each layer."""
    x = encoder.convolved(mel)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    spreads = []
    for layer in encoder.layers:
        spreads.append(float(x.std(-1).mean()))
        x = layer(x)
    return spreads


def _start_local(encoder: Encoder, spreads: Sequence[float]) -> None:
    half = WIDTH // 2
    nought = half - 1  # sine of the slowest frequency, about 0: carries minus LayerNorm's mean
    kept = [*range(_FREQUENCIES), *range(half, half + _FREQUENCIES), nought]
    writers: list[nn.Conv1d | nn.Linear] = [encoder.conv2, *_outputs(encoder)]
    for writer in writers:
        if writer.bias is not None:
            writer.bias[kept] = 0
        writer.weight[kept] = 0
    for layer, spread, shifts in zip(encoder.blocks(), spreads, _SHIFTS, strict=False):
        attention, norm = layer.self_attn, layer.self_attn_layer_norm
        norm.weight[kept] = spread
        norm.bias[kept] = 0
        attention.v_proj.weight[:, kept] = 0
        for head, shift in enumerate(shifts):
            _look_aside(attention, head, shift)
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[:, nought] = 0
            projection.weight[:, nought] = -projection.weight.sum(1)


def _outputs(encoder: Encoder) -> list[nn.Linear]:
    return [part for layer in encoder.blocks() for part in (layer.self_attn.out_proj, layer.fc2)]


def _look_aside(attention: Attention, head: int, shift: int) -> None:
    """q = (sin w(i + shift), cos w(i + shift)), k = (sin w j, cos w j): most at j = i + shift."""
    half, size = WIDTH // 2, WIDTH // HEADS
    q, k = attention.q_proj, attention.k_proj
    rows = slice(head * size, (head + 1) * size)
    q.weight[rows] = 0
    q.bias[rows] = 0
    k.weight[rows] = 0
    scale = math.sqrt(_SHARPNESS * math.sqrt(size))
    for n in range(_FREQUENCIES):
        turn = shift * math.exp(-math.log(10000) / (half - 1) * n)
        row = head * size + 2 * n
        q.weight[row, n], q.weight[row, half + n] = scale * math.cos(turn), scale * math.sin(turn)
        q.weight[row + 1, n] = -scale * math.sin(turn)
        q.weight[row + 1, half + n] = scale * math.cos(turn)
        k.weight[row, n] = k.weight[row + 1, half + n] = scale
