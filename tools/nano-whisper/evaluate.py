"""Measure an exported model on held-out sentences and voices.

python evaluate.py --out OUT --data DATA [--clips 60 --windows 12 --recordings 4]

Reads OUT/ct2-int8 and OUT/ggml-nano-q8_0.bin, writes OUT/figures.json. WER in percent, after
lower-casing and dropping punctuation (see scoring.py).
"""

import argparse
import difflib
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decoders import BEAMS, FasterWhisper, WhisperCpp
from heldout import Recording, noisy, one_sentence, sentences, without_speech
from pool import Pool
from scoring import WordErrors, words
from sound import Sound

LANGUAGES = ("en", "it")
SEED = 41
NOISY_DB = 20.0
SILENT_WINDOWS = 24

Decode = Callable[[Recording], str]


class Figures:
    """Collects results, prints each, and keeps the file up to date."""

    def __init__(self, path: Path) -> None:
        self._path, self._started = path, time.monotonic()
        self._values: dict[str, Any] = {}

    def put(self, name: str, value: Any) -> None:
        self._values[name] = value
        print(f"{time.monotonic() - self._started:5.0f} s {name}: {value}", flush=True)
        self._path.write_text(json.dumps(self._values, indent=1) + "\n")


def wer(recordings: Iterable[Recording], decode: Decode, *, english: bool = False) -> float:
    errors = WordErrors()
    for recording in recordings:
        errors.add(recording.english if english else recording.text, decode(recording))
    return errors.percent


class Evaluation:
    def __init__(self, out: Path, data: Path) -> None:
        self.figures = Figures(out / "figures.json")
        self._whisper = FasterWhisper(out / "ct2-int8")
        self._cpp = WhisperCpp(out / "ggml-nano-q8_0.bin")
        self._pool, self._sound = Pool(data, "heldout"), Sound()

    def run(self, clips: int, windows: int, recordings: int) -> None:
        pool, rng = self._pool, random.Random(SEED)
        short = {x: [one_sentence(pool, rng, x) for _ in range(clips)] for x in LANGUAGES}
        dense = {
            x: [sentences(pool, rng, x, rng.uniform(25, 30), (0.2, 1.0)) for _ in range(windows)] for x in LANGUAGES
        }
        long = {
            x: [sentences(pool, rng, x, rng.uniform(60, 110), (0.4, 2.5)) for _ in range(recordings)] for x in LANGUAGES
        }
        for language in LANGUAGES:
            self._sizes(language, short[language], dense[language], long[language])
            self._short(language, short[language], rng)
            self._dense(language, dense[language])
            self._long(language, long[language])
        for beam in BEAMS:
            self._put_wer("short_it_en", f"beam{beam}", short["it"], beam, task="translate")
        both = [recording for language in LANGUAGES for recording in short[language]]
        self._language(both)
        self._no_speech(rng, both)
        self._times([*dense["en"], *dense["it"]])

    def _sizes(self, language: str, *sets: Sequence[Recording]) -> None:
        names = ("short", "dense", "long")
        counts = {n: sum(len(r.words()) for r in s) for n, s in zip(names, sets, strict=True)}
        self.figures.put(f"reference_words_{language}", counts)

    def _put_wer(
        self,
        name: str,
        setting: str,
        recordings: Sequence[Recording],
        beam: int,
        *,
        mode: str = "sequential",
        task: str = "transcribe",
    ) -> None:
        def decode(recording: Recording) -> str:
            return self._whisper.decode(mode, recording.samples, recording.language, beam, task)

        value = wer(recordings, decode, english=task == "translate")
        self.figures.put(f"wer_{name}_{setting}", value)

    def _short(self, language: str, short: Sequence[Recording], rng: random.Random) -> None:
        for beam in BEAMS:
            self._put_wer(f"short_{language}", f"beam{beam}", short, beam)
        lists = [one_sentence(self._pool, rng, language, lists=True) for _ in short[::2]]
        self._put_wer(f"short_lists_{language}", "beam5", lists, 5)
        loud = [noisy(r, self._sound, rng, NOISY_DB) for r in short[::2]]
        self._put_wer(f"short_noise_20db_{language}", "beam5", loud, 5)
        cpp = wer(short[::2], lambda r: self._cpp.decode(r.samples, language))
        self.figures.put(f"wer_short_{language}_whispercpp", cpp)

    def _dense(self, language: str, dense: Sequence[Recording]) -> None:
        for beam in BEAMS:
            self._put_wer(f"dense_{language}", f"beam{beam}", dense, beam)

            def plain(recording: Recording, beam: int = beam) -> str:
                return self._whisper.without_timestamps(recording.samples, language, beam)

            self.figures.put(f"wer_dense_{language}_plain_beam{beam}", wer(dense, plain))
        cpp = wer(dense, lambda r: self._cpp.decode(r.samples, language))
        self.figures.put(f"wer_dense_{language}_whispercpp", cpp)

    def _long(self, language: str, long: Sequence[Recording]) -> None:
        for mode in ("chunks", "batched", "sequential"):
            for beam in BEAMS:
                self._put_wer(f"long_{language}", f"{mode}_beam{beam}", long, beam, mode=mode)

    def _language(self, recordings: Sequence[Recording]) -> None:
        detect = self._whisper.model.detect_language
        right = [detect(recording.samples)[0] == recording.language for recording in recordings]
        self.figures.put("language_right_percent", round(100 * float(np.mean(right)), 1))

    def _no_speech(self, rng: random.Random, spoken: Sequence[Recording]) -> None:
        """Share of windows without speech that give no text; `no_speech_prob` on either side."""
        windows = [without_speech(self._sound, rng, k) for k in range(SILENT_WINDOWS)]
        texts = [self._whisper.decode("sequential", w, "en", 1) for w in windows]
        texts += [self._whisper.without_timestamps(w, "it", 1) for w in windows]
        empty = [not text for text in texts]
        self.figures.put("empty_without_speech_percent", round(100 * float(np.mean(empty)), 1))
        silent = [self._whisper.no_speech_prob(w) > 0.6 for w in windows]
        speaking = [self._whisper.no_speech_prob(r.samples) > 0.6 for r in spoken[::2]]
        self.figures.put("no_speech_found_percent", round(100 * float(np.mean(silent)), 1))
        self.figures.put("speech_missed_percent", round(100 * float(np.mean(speaking)), 1))

    def _times(self, recordings: Sequence[Recording]) -> None:
        """Distance of starts from the truth in seconds, where the words are right."""
        word_errors: list[float] = []
        segment_errors: list[float] = []
        for recording in recordings:
            segments = self._whisper.timed(recording.samples, recording.language)
            word_errors += _word_errors(recording, segments)
            segment_errors += _segment_errors(recording, segments)
        self.figures.put("word_start_error_s", _spread(word_errors))
        self.figures.put("segment_start_error_s", _spread(segment_errors))


def _word_errors(recording: Recording, segments: Sequence[Any]) -> list[float]:
    wanted = recording.words()
    got = [word for segment in segments for word in segment.words or ()]
    keys = [" ".join(words(word)) for word, _ in wanted]
    matcher = difflib.SequenceMatcher(None, keys, [" ".join(words(word.word)) for word in got], autojunk=False)
    return [
        abs(wanted[block.a + k][1] - got[block.b + k].start)
        for block in matcher.get_matching_blocks()
        for k in range(block.size)
    ]


def _segment_errors(recording: Recording, segments: Sequence[Any]) -> list[float]:
    starts = {p.clip.text.lower(): p.start + p.clip.start for p in recording.placed}
    return [
        abs(starts[text] - segment.start) for segment in segments if (text := segment.text.strip().lower()) in starts
    ]


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    return {
        "median": round(float(np.median(values)), 3),
        "p90": round(float(np.percentile(values, 90)), 3),
        "max": round(float(max(values)), 3),
        "count": len(values),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60, help="single sentences a language")
    parser.add_argument("--windows", type=int, default=12, help="dense windows a language")
    parser.add_argument("--recordings", type=int, default=4, help="long recordings a language")
    args = parser.parse_args()
    Evaluation(args.out, args.data).run(args.clips, args.windows, args.recordings)


if __name__ == "__main__":
    main()
