"""Speakers whose voices come with a request of OpenAI's API: names, and samples as data URLs. Pure."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from scrivano.domain.errors import BadParameter
from scrivano.domain.speakers import clean_name
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import LONGEST_NAME

__all__ = ["LONG_FIELDS", "NAMES", "REFERENCES", "KnownSpeaker", "check_sample", "known_speaker_options", "parse"]

NAMES, REFERENCES = "known_speaker_names", "known_speaker_references"

# OpenAI's limits.
MOST = 4
SHORTEST_S, LONGEST_S = 2.0, 10.0
# Codecs add a little silence, or cut some off.
SLACK_S = 0.25
# In a sample with less speech, the voice cannot be known.
LEAST_SPEECH_S = 1.0

# Ten seconds of WAV with 48 kHz, 16 bits and two channels are 2.6 MB in base64.
LONG_FIELDS = {REFERENCES: 4 * 1024 * 1024}

# Several data URLs in one value. A data URL has one comma itself.
_BETWEEN = re.compile(r",\s*(?=data:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """`sample`: a recording of the voice."""

    name: str
    sample: bytes


def parse(fields: FormFields) -> tuple[KnownSpeaker, ...]:
    """Raises `BadParameter`."""
    references = [url for value in fields.sent(REFERENCES) for url in _BETWEEN.split(value)]
    names = fields.sent(NAMES)
    if len(names) != len(references):
        names = fields.array(NAMES)
    if len(names) != len(references):
        message = (
            f"there are {len(names)} names in {NAMES} and {len(references)} samples in {REFERENCES}: send one sample"
            " for each name, in the same order"
        )
        raise BadParameter(REFERENCES if len(names) > len(references) else NAMES, message)
    if len(names) > MOST:
        raise BadParameter(NAMES, f"there are {len(names)} known speakers: at most {MOST} are possible")
    return tuple(
        KnownSpeaker(_name(name), _audio(url, number))
        for number, (name, url) in enumerate(zip(names, references, strict=True), 1)
    )


def known_speaker_options(speakers: Sequence[KnownSpeaker], heard: Set[str] | None = None) -> dict[str, Any]:
    """What a job keeps of them, so that a repeated request is recognised.

    `heard`: the names whose voices were found; None: all. A job without a voice is no answer to a repeated request, so
    it keeps no hash of that sample.
    """
    if not speakers:
        return {}
    return {
        "known_speakers": tuple(one.name for one in speakers),
        "known_samples": tuple(
            hashlib.sha256(one.sample).hexdigest() if heard is None or one.name in heard else "" for one in speakers
        ),
        "speakers": True,
    }


def check_sample(name: str, seconds: float, speech_s: float) -> None:
    """Raises `BadParameter` if the sample of this speaker cannot be used."""
    advice = (
        f"send {SHORTEST_S:g} to {LONGEST_S:g} s of this person alone, with {LEAST_SPEECH_S:g} s of speech at least"
    )
    if not speech_s:  # of a long silence, a shorter part is no better
        raise BadParameter(REFERENCES, f"the sample of {name} has no speech: {advice}")
    if not SHORTEST_S - SLACK_S <= seconds <= LONGEST_S + SLACK_S:
        raise BadParameter(REFERENCES, f"the sample of {name} has {seconds:.1f} s: {advice}")
    if speech_s < LEAST_SPEECH_S:
        raise BadParameter(REFERENCES, f"the sample of {name} has {speech_s:.1f} s of speech: {advice}")


def _name(text: str) -> str:
    name = clean_name(text)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise BadParameter(NAMES, f"a name must have 1 to {LONGEST_NAME} characters")
    return name


def _audio(url: str, number: int) -> bytes:
    head, _, data = url.partition(",")
    head = head.strip().lower()
    if not (head.startswith("data:") and head.endswith(";base64")):
        message = f"sample {number} in {REFERENCES} is no data URL with base64, such as data:audio/wav;base64,UklGR..."
        raise BadParameter(REFERENCES, message)
    try:
        audio = b64decode("".join(unquote(data).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadParameter(REFERENCES, f"sample {number} in {REFERENCES} is no valid base64: {error}") from error
    if not audio:
        raise BadParameter(REFERENCES, f"sample {number} in {REFERENCES} is empty")
    return audio
