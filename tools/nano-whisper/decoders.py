"""The exported model in the runtimes that use it, each way that the figures name.

`sequential`: faster-whisper without VAD. `batched`: its batched pipeline, which cuts pauses out and
packs the speech to 30 s. `chunks`: whole pieces of at most 30 s, pauses kept, cut in silence; with
timestamps. Never conditioned on previous text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from espeak import SAMPLE_RATE, Samples
from tokens import LANGUAGE_ID, SOT, TASK_ID

BEAMS = (1, 5)
CHUNK_S = 30.0
PAD_S = 0.2


def text_of(segments: Any) -> str:
    return "".join(segment.text for segment in segments).strip()


class FasterWhisper:
    """CTranslate2's export, int8."""

    def __init__(self, model: Path) -> None:
        from faster_whisper import (
            BatchedInferencePipeline,
            WhisperModel,
        )

        self.model: Any = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=2)
        self._batched: Any = BatchedInferencePipeline(self.model)

    def decode(self, mode: str, sound: Samples, language: str, beam: int, task: str = "transcribe") -> str:
        options = {"language": language, "beam_size": beam, "task": task, "temperature": 0.0}
        if mode == "batched":
            return text_of(self._batched.transcribe(sound, batch_size=4, **options)[0])
        options["condition_on_previous_text"] = False
        if mode == "sequential":
            return text_of(self.model.transcribe(sound, **options)[0])
        pieces = (sound[a:b] for a, b in chunks(sound))
        return " ".join(text_of(self.model.transcribe(piece, **options)[0]) for piece in pieces)

    def without_timestamps(self, sound: Samples, language: str, beam: int) -> str:
        segments, _ = self.model.transcribe(
            sound, language=language, beam_size=beam, temperature=0.0, without_timestamps=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        return text_of(segments)

    def timed(self, sound: Samples, language: str) -> list[Any]:
        """Segments with words, beam 5."""
        segments, _ = self.model.transcribe(
            sound, language=language, beam_size=5, temperature=0.0, word_timestamps=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        return list(segments)

    def no_speech_prob(self, sound: Samples) -> float:
        """Of the first 30 s."""
        from faster_whisper.audio import pad_or_trim

        features = pad_or_trim(self.model.feature_extractor(sound)[:, :3000])
        prompt = [[SOT, LANGUAGE_ID["en"], TASK_ID["transcribe"]]]
        encoded = self.model.encode(features)
        results = self.model.model.generate(encoded, prompt, max_length=40, return_no_speech_prob=True, beam_size=1)
        return float(results[0].no_speech_prob)


class WhisperCpp:
    """The GGML export."""

    def __init__(self, model: Path) -> None:
        from pywhispercpp.model import Model

        self._model = Model(
            str(model), n_threads=2, print_progress=False, print_realtime=False, n_max_text_ctx=0,
            redirect_whispercpp_logs_to=None,
        )  # fmt: skip

    def decode(self, sound: Samples, language: str, task: str = "transcribe") -> str:
        padded = np.pad(sound, (0, max(0, int(1.1 * SAMPLE_RATE) - len(sound))))  # it wants 1 s
        segments = self._model.transcribe(padded, language=language, translate=task == "translate")
        return " ".join(segment.text.strip() for segment in segments)


def chunks(sound: Samples) -> Iterator[tuple[int, int]]:
    """Sample ranges of at most 30 s, from speech to speech, as full as the silences allow."""
    from faster_whisper.vad import (
        VadOptions,
        get_speech_timestamps,
    )

    options = VadOptions(
        min_silence_duration_ms=300,
        speech_pad_ms=int(PAD_S * 1000),
        max_speech_duration_s=CHUNK_S,
    )
    current: tuple[int, int] | None = None
    for span in get_speech_timestamps(sound, options):
        start, end = span["start"], span["end"]
        if current and end - current[0] <= CHUNK_S * SAMPLE_RATE:
            current = (current[0], end)
            continue
        if current:
            yield current
        current = (start, end)
    if current:
        yield current
