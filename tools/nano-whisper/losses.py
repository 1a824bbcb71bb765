"""What a batch teaches: tokens, characters and where to look."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model import ALIGN, TRACK, Nano
from windows import Batch

TIMESTAMP_WEIGHT = 0.5
_SPREAD = 1.2
# A timestamp's target is a Gaussian of this spread, cut at this distance, in steps of 0.02 s.
_REACH = 3


@dataclass(frozen=True, slots=True)
class Losses:
    """The sum to minimise and its parts, for the log."""

    total: Tensor
    text: float
    timestamps: float
    characters: float
    align: float
    track: float


def batch_losses(model: Nano, batch: Batch, *, ctc: float, guide: float, frozen_encoder: bool) -> Losses:
    """`ctc` and `guide` weigh the characters and the guided attention."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.set_grad_enabled(not frozen_encoder):
            memory = model.encoder(batch.mel, batch.offsets)
        hidden, weights, table = model.decode(batch.inputs, memory)
        scores = hidden[batch.learn] @ table.t()
        spelled = model.ctc(memory)
    tokens, text, timestamps = _tokens(model, scores.float(), batch.targets[batch.learn])
    characters = torch.zeros(()) if frozen_encoder else _characters(spelled, batch)
    align = _attention(weights[ALIGN[0]][:, ALIGN[1]], batch.target_spans, batch.learn)
    track = _attention(weights[TRACK[0]][:, TRACK[1]], batch.input_spans, batch.learn)
    total = tokens + ctc * characters + guide * (align + track)
    parts = (float(part.detach()) for part in (characters, align, track))
    return Losses(total, text, timestamps, *parts)


def _tokens(model: Nano, scores: Tensor, targets: Tensor) -> tuple[Tensor, float, float]:
    """Cross entropy; near misses of a timestamp cost little."""
    bias = torch.zeros(scores.shape[-1])
    bias[model.shared] = math.log(model.others)
    logs = F.log_softmax(scores + bias, -1)
    stamp = targets > model.shared
    text = -logs[~stamp].gather(1, targets[~stamp][:, None])[:, 0]
    total = text.sum()
    near_loss = torch.zeros(1)
    if stamp.any():
        near = targets[stamp][:, None] + torch.arange(-_REACH, _REACH + 1)[None]
        inside = (near > model.shared) & (near < logs.shape[1])
        shape = torch.exp(-0.5 * (torch.arange(-_REACH, _REACH + 1) / _SPREAD) ** 2)[None] * inside
        shape = shape / shape.sum(1, keepdim=True)
        near = near.clamp(model.shared + 1, logs.shape[1] - 1)
        near_loss = -(logs[stamp].gather(1, near) * shape).sum(1)
        total = total + TIMESTAMP_WEIGHT * near_loss.sum()
    shown = float(text.detach().mean()) if len(text) else 0.0
    return total / len(targets), shown, float(near_loss.detach().mean())


def _characters(spelled: Tensor, batch: Batch) -> Tensor:
    if not len(batch.characters):
        return torch.zeros(())
    logs = F.log_softmax(spelled.float(), -1).transpose(0, 1)
    lengths = torch.full((logs.shape[1],), logs.shape[0])
    losses = F.ctc_loss(
        logs, batch.characters, lengths, batch.character_counts, reduction="none",
        zero_infinity=True,
    )  # fmt: skip
    return losses.sum() / len(batch.characters)


def _attention(weights: Tensor, spans: Tensor, learn: Tensor) -> Tensor:
    """-log of the attention on the token's own time; outside it, a Gaussian of 2 positions."""
    timed = (spans[..., 1] > spans[..., 0]) & learn
    if not timed.any():
        return torch.zeros(())
    position = torch.arange(weights.shape[-1])[None]
    start, end = spans[timed][:, :1], spans[timed][:, 1:]
    away = (start - position).clamp(min=0) + (position - end).clamp(min=0)
    near = torch.exp(-0.5 * (away / 2) ** 2)
    return -(weights[timed].float() * near).sum(1).clamp(1e-4).log().mean()
