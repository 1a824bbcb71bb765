"""In which language a chunk is decoded."""

from __future__ import annotations

import numpy as np
import pytest

from scrivano.domain.errors import EngineInput
from scrivano.domain.job import Task
from scrivano.engines.decoding_rules import checked_language
from scrivano.engines.engine import AudioChunk

CHUNK = AudioChunk(audio=np.zeros(16_000, np.float32), language="yue", task=Task.TRANSCRIBE)


@pytest.mark.parametrize(("known", "language"), [(("en", "zh", "yue"), "yue"), (("en", "zh"), "zh")])
def test_cantonese_is_chinese_for_models_without_it(known: tuple[str, ...], language: str) -> None:
    assert checked_language(CHUNK, known, multilingual=True) == language


def test_another_unknown_language_is_refused() -> None:
    with pytest.raises(EngineInput, match="zh"):
        checked_language(CHUNK, ("en",), multilingual=True)
