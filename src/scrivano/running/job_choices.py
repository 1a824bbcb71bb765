"""How a job is transcribed: what it chose itself, and what the server chose for jobs that do not say it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.job import JobOptions
from scrivano.domain.recording import ChannelUse
from scrivano.domain.speakers import SpeakerCount

__all__ = ["JobDefaults", "channel_use", "decoding_options", "speaker_count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """What the server chose. `speakers`: tell them apart. `channel_names`: who speaks on each channel, in order.
    `voices`: whether voices can be enrolled, so that a job may ask for them."""

    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    speakers: bool = False
    channels: ChannelUse = ChannelUse.AUTO
    channel_names: Sequence[str] = ()
    voices: bool = False


def speaker_count(options: JobOptions, default: bool) -> SpeakerCount | None:
    """None: the job wants no speakers."""
    if options.detects_language or not (default if options.speakers is None else options.speakers):
        return None
    return SpeakerCount(exactly=options.num_speakers, least=options.min_speakers or 1, most=options.max_speakers)


def channel_use(options: JobOptions, default: ChannelUse, count: SpeakerCount | None) -> ChannelUse:
    """`AUTO` is for those who want speakers; language is detected on a mix, and so are voices that are known."""
    use = default if options.channels is None else ChannelUse(options.channels)
    by_voice = bool(options.known_speakers)
    mixes = options.detects_language or (use is ChannelUse.AUTO and (count is None or by_voice))
    return ChannelUse.MIX if mixes else use


def decoding_options(defaults: DecodingOptions, options: JobOptions) -> DecodingOptions:
    """The options of the server, changed by those of the job."""
    chosen: dict[str, Any] = {
        "beam_size": options.beam_size,
        "word_timestamps": options.word_timestamps,
        "initial_prompt": options.prompt,
        "hotwords": options.hotwords,
        "temperatures": _ladder(options.temperature),
    }
    return replace(defaults, **{name: value for name, value in chosen.items() if value is not None})


def _ladder(temperature: float | None) -> tuple[float, ...] | None:
    """From the requested temperature up to 1 in steps of 0.2, as in openai-whisper; None and 0: the whole ladder."""
    if not temperature:
        return None
    return tuple(round(temperature + 0.2 * step, 3) for step in range(6) if temperature + 0.2 * step <= 1.0 + 1e-6)
