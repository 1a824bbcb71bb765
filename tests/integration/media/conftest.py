"""A shipped recording of speech."""

from __future__ import annotations

import pytest
from media_files import Audio, Spoken, samples, spoken


@pytest.fixture(scope="module")
def speech() -> Spoken:
    return spoken("en-exact-0")


@pytest.fixture(scope="module")
def audio(speech: Spoken) -> Audio:
    return samples(speech.path)
