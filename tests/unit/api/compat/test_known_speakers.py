"""Known speakers as clients write them, and what is wrong with them said so that a caller can mend it."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import pytest

from scrivano.api.compat.known_speakers import MOST, KnownSpeaker, check_sample, known_speaker_options, parse
from scrivano.domain.errors import BadParameter
from scrivano.submission.form_fields import FormFields

ADA, EVE = b"RIFF of Ada??>", b"RIFF of Eve"
NAMES, REFERENCES = "known_speaker_names", "known_speaker_references"


def url(audio: bytes, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64,{b64encode(audio).decode()}"


@pytest.mark.parametrize(
    "form",
    [
        {"known_speaker_names[]": ["Ada", "Eve"], "known_speaker_references[]": [url(ADA), url(EVE)]},
        {NAMES: ["Ada", "Eve"], REFERENCES: [url(ADA), url(EVE)]},
        {NAMES: ["Ada, Eve"], REFERENCES: [f"{url(ADA)}, {url(EVE)}"]},
        {
            f"{NAMES}[0]": ["Ada"],
            f"{NAMES}[1]": ["Eve"],
            f"{REFERENCES}[0]": [url(ADA, "audio/mpeg;codecs=mp3")],
            f"{REFERENCES}[1]": [url(EVE)],
        },
        {NAMES: ["Ada,Eve"], REFERENCES: [quote(url(ADA), safe=":;,/"), url(EVE).replace("base64,", "BASE64,\r\n")]},
    ],
)
def test_they_come_in_many_ways(form: dict[str, list[str]]) -> None:
    assert parse(FormFields(form)) == (KnownSpeaker("Ada", ADA), KnownSpeaker("Eve", EVE))


def test_a_name_may_have_a_comma() -> None:
    form = {NAMES: ["Lovelace, Ada"], REFERENCES: [url(ADA)]}

    assert parse(FormFields(form)) == (KnownSpeaker("Lovelace, Ada", ADA),)


def test_none_are_none() -> None:
    assert parse(FormFields({})) == parse(FormFields({NAMES: [""], REFERENCES: [" "]})) == ()
    assert known_speaker_options(()) == {}


def test_a_job_remembers_names_and_hashes_and_no_sample() -> None:
    options = known_speaker_options((KnownSpeaker("Ada", ADA),))

    assert options["known_speakers"] == ("Ada",)
    assert options["speakers"] is True
    assert [len(one) for one in options["known_samples"]] == [64]


def test_a_job_without_a_voice_is_no_answer_to_a_repeated_request() -> None:
    known = (KnownSpeaker("Ada", ADA), KnownSpeaker("Eve", EVE))

    assert known_speaker_options(known, heard={"Ada", "Eve"}) == known_speaker_options(known)
    assert known_speaker_options(known, heard={"Eve"})["known_samples"][0] == ""
    assert known_speaker_options(known, heard={"Eve"})["known_speakers"] == ("Ada", "Eve")


@pytest.mark.parametrize(
    ("names", "references", "param", "says"),
    [
        (["Ada"], [], REFERENCES, "1 names"),
        ([], [url(ADA)], NAMES, "1 samples"),
        (["Ada", "Eve"], [url(ADA)], REFERENCES, "one sample for each name"),
        (["A"] * (MOST + 1), [url(ADA)] * (MOST + 1), NAMES, "at most 4"),
        (["Ada"], ["https://example.org/ada.wav"], REFERENCES, "no data URL"),
        (["Ada"], ["data:audio/wav,RIFF"], REFERENCES, "no data URL with base64"),
        (["Ada"], ["data:audio/wav;base64,UklGR"], REFERENCES, "no valid base64"),
        (["Ada"], ["data:audio/wav;base64,***="], REFERENCES, "no valid base64"),
        (["Ada"], ["data:audio/wav;base64,"], REFERENCES, "empty"),
        (["\u200b"], [url(ADA)], NAMES, "1 to 100 characters"),
        (["A" * 101], [url(ADA)], NAMES, "1 to 100 characters"),
    ],
)
def test_what_is_wrong_is_named(names: list[str], references: list[str], param: str, says: str) -> None:
    with pytest.raises(BadParameter, match=says) as caught:
        parse(FormFields({NAMES: names, REFERENCES: references}))

    assert caught.value.param == param


@pytest.mark.parametrize(("seconds", "speech_s"), [(2.0, 1.0), (10.1, 8.0), (1.8, 1.8)])
def test_samples_that_can_be_used(seconds: float, speech_s: float) -> None:
    check_sample("Ada", seconds, speech_s)


@pytest.mark.parametrize(
    ("seconds", "speech_s", "says"),
    [(1.0, 1.0, "1.0 s"), (12.0, 9.0, "12.0 s"), (5.0, 0.5, "0.5 s of speech"), (20.0, 0.0, "no speech")],
)
def test_samples_that_cannot_be_used(seconds: float, speech_s: float, says: str) -> None:
    with pytest.raises(BadParameter, match=f"the sample of Ada has {says}"):
        check_sample("Ada", seconds, speech_s)
