from __future__ import annotations

from typing import Any

import httpx2
import pytest

from scrivano.cli.chosen_server import complete_url, same_model
from scrivano.cli.transcription import TranscribeOptions, quality_line, rendered, timed
from scrivano.client import Client
from scrivano.domain.transcript import Segment, Transcript


def test_the_timed_format_has_one_line_for_each_segment() -> None:
    segments = (Segment(start=1.2, end=3.4, text="One."), Segment(start=3599.9996, end=3661.5, text="Two."))

    text = timed(Transcript(language="en", duration=3700.0, segments=segments))

    assert text == "[00:00:01.200 → 00:00:03.400]  One.\n[01:00:00.000 → 01:01:01.500]  Two.\n"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://a.example", "http://a.example"),
        ("https://a.example/speech", "https://a.example/speech"),
        ("localhost", "http://localhost:8080"),
        ("localhost:9000", "http://localhost:9000"),
        ("10.0.0.2:9000/speech", "http://10.0.0.2:9000/speech"),
        ("a.example/speech", "http://a.example:8080/speech"),
        ("::1", "http://[::1]:8080"),
        ("[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_an_address_without_a_scheme_is_a_server(address: str, url: str) -> None:
    assert complete_url(address) == url


@pytest.mark.parametrize(
    ("model", "served", "same"),
    [
        (None, "base", True),
        ("base", "base", True),
        ("turbo", "large-v3-turbo", True),
        ("openai/whisper-large-v3-turbo", "turbo", True),
        ("large", "large-v3", True),
        ("tiny", "base", False),
    ],
)
def test_a_model_is_found_under_each_of_its_names(model: str | None, served: str, same: bool) -> None:
    assert same_model(model, served) is same


def test_rttm_is_written_by_the_server_which_knows_the_turns() -> None:
    turns = "SPEAKER talk 1 0.016 2.966 <NA> <NA> Speaker_1 <NA> <NA>\n"
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.url.path}?{request.url.query.decode()}")
        return httpx2.Response(200, text=turns)

    transcript = Transcript(language="en", duration=3.0, segments=(Segment(start=0.0, end=3.0, text="One."),))
    with Client("http://a.example", transport=httpx2.MockTransport(answer)) as client:
        text = rendered(client, "a", transcript, TranscribeOptions(format="txt"))
        rttm = rendered(client, "a", transcript, TranscribeOptions(format="rttm"))

    assert (text, rttm) == ("One.\n", turns)
    assert asked == ["/jobs/a/transcript?format=rttm"]


@pytest.mark.parametrize(
    ("coverage", "certainty", "with_text", "line"),
    [
        (0.99996, 0.9307, True, "quality: 99.9 % of the speech has words; words certain by 93.0 %"),
        (1.0, None, True, "quality: 100.0 % of the speech has words"),
        (None, 0.5, True, "quality: text, but no speech was detected; words certain by 50.0 %"),
        (None, None, False, "quality: no speech"),
    ],
)
def test_how_far_a_transcript_can_be_trusted_is_said_in_a_line(
    coverage: float | None, certainty: float | None, with_text: bool, line: str
) -> None:
    quality: dict[str, Any] = {"coverage": coverage, "word_probability": certainty, "uncovered": [], "doubtful": []}

    assert quality_line({**quality, "repaired": 0, "loops_cut": 0}, with_text=with_text) == line
