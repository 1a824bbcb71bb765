"""Training windows made on the fly: clips on a time line, their log-mel, tokens and times."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from espeak import SAMPLE_RATE, Samples
from pool import Clip, Pool
from sound import Sound
from tokens import (
    EOT,
    FIRST_TIMESTAMP,
    LANGUAGE_ID,
    NO_SPEECH,
    NO_TIMESTAMPS,
    SOT,
    START_OF_PREV,
    TASK_ID,
    TIMESTAMP_S,
    Words,
)

# Seconds of one encoder position: two mel frames.
POSITION_S = 0.02
# Encoder positions of a 30 s window.
FULL = 1500
# What the CTC head spells; 0 is its blank, so a character's class is its index plus one.
CHARACTERS = " abcdefghijklmnopqrstuvwxyzàèéìòù0123456789'"
PROMPT_MAX = 223
CONTEXT = 448
# Every runtime forces the first timestamp to be at most this.
_FIRST_MAX = 1.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of the windows that have this or that; `snr_min` is in dB.

    `swap` is the share of input tokens that are replaced, so that decoding keeps its place after a
    mistake. `stamped` is the share of the prompts that have timestamps, as real previous text has.
    """

    spec: float = 0.05
    band: float = 0.03
    noise: float = 0.3
    snr_min: float = 18.0
    prompt: float = 0.2
    stamped: float = 0.6
    empty: float = 0.05
    cut: float = 0.35
    swap: float = 0.03


@dataclass(frozen=True, slots=True)
class Placed:
    """A clip on the time line; `start` in seconds, negative if the window begins inside it."""

    clip: Clip
    start: float


@dataclass(slots=True)
class Window:
    """One example. `spans[i]` is where token i is spoken, in encoder positions of `mel`.

    `offset` is the encoder position that `mel` starts at. `learn` marks the tokens to predict.
    """

    mel: Tensor
    offset: int
    tokens: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    spans: list[Span | None] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)

    def put(self, token: int, *, learn: bool = True, span: Span | None = None) -> None:
        self.tokens.append(token)
        self.learn.append(learn)
        self.spans.append(span)


@dataclass(slots=True)
class Batch:
    """Windows of one length. Tokens are compact ids; `spans` hold (from, to), 0 and 0 for none."""

    mel: Tensor
    offsets: Tensor
    inputs: Tensor
    targets: Tensor
    learn: Tensor
    input_spans: Tensor
    target_spans: Tensor
    characters: Tensor
    character_counts: Tensor


class WindowMaker:
    """Draws windows from a pool."""

    def __init__(self, pool: Pool, words: Words, sound: Sound, mix: Mix) -> None:
        self.pool, self.words, self.sound, self.mix = pool, words, sound, mix

    def draw(self, rng: random.Random, positions: int, *, long_prompts: bool) -> Window:
        """One window of `positions` encoder positions."""
        if rng.random() < self.mix.empty:
            return self._without_speech(rng, positions, long_prompts)
        return self.with_speech(rng, positions, long_prompts=long_prompts)

    def with_speech(self, rng: random.Random, positions: int, *, long_prompts: bool = False) -> Window:
        whole, full = positions * POSITION_S, positions == FULL
        cut = rng.random() < (self.mix.cut if full else 0.5 * self.mix.cut)
        cut_start = rng.random() < 0.04
        fill = rng.random() if positions >= 450 else 1.0
        limit = _limit(rng, fill, whole)
        cut = cut and limit == whole
        few = (positions < 450 and rng.random() < 0.3) or fill < 0.12
        most = rng.choice([1, 1, 2, 3]) if few else 99
        language, samples, placed = compose(
            self.pool, rng, limit, most=99 if cut else most, cut=cut, cut_start=cut_start
        )
        offset = 0
        if not full:  # a sentence is only cut where a 30 s window ends
            late = FULL - positions
            offset = late if cut else rng.randint(0, late) if rng.random() < 0.5 else 0
        samples = self.sound.degrade(samples, rng, self.mix.noise, self.mix.snr_min)
        mel = self._mel(samples, positions, rng)
        task = "translate" if language == "it" and rng.random() < 0.35 else "transcribe"
        timestamps = rng.random() < 0.6
        prompt = self._prompt(rng, language, task, long_prompts)
        window = Window(mel, offset)
        Writer(window, self.words, rng, whole, task, timestamps).write(language, prompt, placed)
        return window

    def _mel(self, samples: Samples, positions: int, rng: random.Random) -> Tensor:
        mix = self.mix
        return self.sound.log_mel(samples, 2 * positions, rng, band=mix.band, spec=mix.spec)

    def _without_speech(self, rng: random.Random, positions: int, long_prompts: bool) -> Window:
        """Silence or noise: no speech when asked for the language, else nothing but the end."""
        whole = positions * POSITION_S
        count = int(rng.choice([whole, rng.uniform(0.2, whole)]) * SAMPLE_RATE)
        samples = np.zeros(count, np.float32)
        if rng.random() < 0.65:
            samples = self.sound.noise(rng, count) * np.float32(10 ** rng.uniform(-4, -0.8))
        late = positions != FULL and rng.random() < 0.4
        offset = rng.randint(0, FULL - positions) if late else 0
        window = Window(self._mel(np.clip(samples, -1, 1), positions, rng), offset)
        language = rng.choice(["en", "it"])
        task = "translate" if language == "it" and rng.random() < 0.3 else "transcribe"
        _put_start(window, self._prompt(rng, language, task, long_prompts))
        if rng.random() < 0.5:
            window.put(NO_SPEECH)
        else:
            window.put(LANGUAGE_ID[language], learn=False)
            window.put(TASK_ID[task], learn=False)
            if rng.random() < 0.6:
                window.put(FIRST_TIMESTAMP)
            else:
                window.put(NO_TIMESTAMPS, learn=False)
        window.put(EOT)
        return window

    def _prompt(self, rng: random.Random, language: str, task: str, long_prompts: bool) -> list[int]:
        """Unrelated sentences as previous text: with timestamps or not, sometimes a bit wrong."""
        if rng.random() > self.mix.prompt:
            return []
        prompt: list[int] = []
        clock, stamped = 0.0, rng.random() < self.mix.stamped
        lengths = [1, 1, 2, 3, 4, 6, 9, 14, 20] if long_prompts else [1, 1, 2, 3]
        for _ in range(rng.choice(lengths)):
            clip = rng.choice(self.pool.of[language])
            ids, _ = self.words.encode(clip.text if task == "transcribe" else clip.other)
            if stamped:
                end = clock + clip.seconds
                ids = [_timestamp(clock), *ids, _timestamp(end)]
                clock = end + rng.uniform(0, 1)
                clock = clock if clock < 24 else 0.0
            prompt += ids
        prompt = prompt[-PROMPT_MAX:]
        if rng.random() < 0.2:
            prompt = prompt[rng.randrange(len(prompt)) :]
        return [rng.randrange(50000) if rng.random() < 0.01 else i for i in prompt]


def _limit(rng: random.Random, fill: float, whole: float) -> float:
    """Up to where a window is filled: a few seconds, a part, most of it, or all."""
    if fill < 0.12:
        return min(whole, rng.uniform(2.5, 6))
    if fill < 0.24:
        return min(whole, rng.uniform(6, 15))
    return rng.uniform(0.6, 1) * whole if fill < 0.5 else whole


def _timestamp(seconds: float) -> int:
    return FIRST_TIMESTAMP + min(FULL, max(0, round(seconds / TIMESTAMP_S)))


def _put_start(window: Window, prompt: Sequence[int]) -> None:
    for token in [START_OF_PREV, *prompt] if prompt else []:
        window.put(token, learn=False)
    window.put(SOT, learn=False)


def compose(
    pool: Pool,
    rng: random.Random,
    limit: float,
    *,
    language: str = "",
    most: int = 99,
    cut: bool = False,
    cut_start: bool = False,
) -> tuple[str, Samples, list[Placed]]:
    """Sentences with pauses on a time line of at most `limit` seconds.

    With `cut`, the last one may run over the end; with `cut_start`, the first began earlier.
    """
    language = language or rng.choice(["en", "it"])
    clock = _lead(rng, limit)
    if cut_start:
        clock = -rng.uniform(0.3, 1.5)
    pace = rng.choice([0.15, 0.5, 0.5, 1.0])
    placed: list[Placed] = []
    gains: list[float] = []
    misfits = 0
    while len(placed) < most and clock < limit - 0.3:
        clip = rng.choice(pool.of[language])
        clock = max(clock, -0.6 * clip.seconds)
        if clock + clip.seconds > limit and not cut:
            misfits += 1
            if misfits > 6:
                break
            continue
        placed.append(Placed(clip, clock))
        gains.append(10 ** (rng.uniform(-3, 3) / 20))
        pause = rng.expovariate(1 / pace) + 0.03 if rng.random() < 0.9 else rng.uniform(1, 4)
        clock += clip.seconds + pause
    if not placed:
        drawn = (rng.choice(pool.of[language]) for _ in range(30))
        placed, gains = [Placed(min(drawn, key=lambda clip: clip.length), 0.0)], [1.0]
    end = max(p.start + p.clip.seconds for p in placed)
    tail = rng.choice([0.0, rng.uniform(0, 0.6), rng.uniform(0, 2.0)])
    samples = np.zeros(max(1600, int(min(limit, end + tail) * SAMPLE_RATE)), np.float32)
    for place, gain in zip(placed, gains, strict=True):
        lay(samples, pool.samples(place.clip) * np.float32(gain), place.start)
    return language, samples, placed


def _lead(rng: random.Random, limit: float) -> float:
    draw = rng.random()
    if draw < 0.25:
        return 0.0
    low, high = (0, 0.25) if draw < 0.55 else (0.2, 1.2) if draw < 0.85 else (1, 4)
    return min(rng.uniform(low, high), limit * 0.4)


def lay(line: Samples, samples: Samples, start: float) -> None:
    """Add `samples` to the time line; what lies outside is cut off."""
    first = int(start * SAMPLE_RATE)
    if first < 0:
        samples, first = samples[-first:], 0
    samples = samples[: max(0, len(line) - first)]
    line[first : first + len(samples)] += samples


class Writer:
    """Writes a window's tokens as Whisper's format wants them."""

    def __init__(
        self,
        window: Window,
        words: Words,
        rng: random.Random,
        whole: float,
        task: str,
        timestamps: bool,
    ) -> None:
        self._window, self._words, self._rng = window, words, rng
        self._whole, self._task, self._timestamps = whole, task, timestamps
        self._shift = window.offset * POSITION_S
        self._first = True

    def write(self, language: str, prompt: Sequence[int], placed: Sequence[Placed]) -> None:
        window = self._window
        _put_start(window, prompt)
        window.put(LANGUAGE_ID[language])
        window.put(TASK_ID[self._task], learn=False)
        if not self._timestamps:
            window.put(NO_TIMESTAMPS, learn=False)
        heard: list[str] = []
        for place in placed:
            visible = self._visible(place)
            text = place.clip.text.split()
            heard.append(" ".join(text[k] for k in visible))
            if not self._sentence(place, visible):
                break
        window.put(EOT)
        window.characters = spell(" ".join(heard))

    def _visible(self, place: Placed) -> list[int]:
        """The words that lie whole inside the window."""
        return [
            k
            for k, (start, end) in enumerate(place.clip.words)
            if place.start + start >= -0.05 and place.start + end <= self._whole + 0.05
        ]

    def _sentence(self, place: Placed, visible: list[int]) -> bool:
        """Write one sentence; false if the window ends in it.

        A cut sentence is left to the next window: only its start time stands. If it is the only
        one, its visible words stand without an end time, or nothing if it is to be translated.
        """
        start, end = place.start + place.clip.start, place.start + place.clip.end
        cut = end > self._whole + 0.05
        if cut and self._timestamps and not self._first:
            if 0 <= start < self._whole - 0.1:
                self._stamp(start, start)
            return False
        if cut and self._task == "translate":
            if self._timestamps:
                self._stamp(min(max(start, 0.0) + self._shift, _FIRST_MAX) - self._shift, None)
            return False
        if self._timestamps:
            self._stamp(self._shown_start(start), start)
        if self._task == "translate":
            self._translation(place, start, end)
        else:
            partly = cut or start < -0.02
            self._transcript(place, set(visible) if partly else None)
        if not cut and self._timestamps:
            self._stamp(end, end)
        self._first = False
        return not cut

    def _shown_start(self, start: float) -> float:
        """Half of the late first starts are shown at 1.00, as runtimes force them to be."""
        shown = max(0.0, start)
        if self._first and self._rng.random() < 0.5:
            shown = min(shown + self._shift, _FIRST_MAX) - self._shift
        return shown

    def _stamp(self, seconds: float, spoken: float | None) -> None:
        middle = None if spoken is None else spoken / POSITION_S
        span = None if middle is None else (middle - 6, middle + 6)
        self._window.put(_timestamp(seconds + self._shift), span=span)

    def _translation(self, place: Placed, start: float, end: float) -> None:
        for token in self._words.encode(place.clip.other)[0]:
            self._window.put(token, span=(start / POSITION_S - 2, end / POSITION_S + 2))

    def _transcript(self, place: Placed, visible: set[int] | None) -> None:
        """The tokens of the visible words (`None`: all); pieces of one word share its time."""
        ids, numbers = self._words.encode(place.clip.text)
        for k, (token, number) in enumerate(zip(ids, numbers, strict=True)):
            if visible is not None and number not in visible:
                continue
            start, end = place.clip.words[min(number, len(place.clip.words) - 1)]
            piece, pieces = k - numbers.index(number), numbers.count(number)
            at = place.start + start + (end - start) * piece / pieces
            until = place.start + start + (end - start) * (piece + 1) / pieces
            self._window.put(token, span=(at / POSITION_S - 1, until / POSITION_S + 1))


def spell(text: str) -> list[int]:
    """CTC classes of a text."""
    known = "".join(c if c in CHARACTERS else " " for c in text.lower())
    return [CHARACTERS.index(c) + 1 for c in re.sub(r"\s+", " ", known).strip()]


def collate(
    windows: Sequence[Window],
    to_compact: Tensor,
    swap: float = 0.0,
    rng: random.Random | None = None,
    swaps: Sequence[int] = (),
) -> Batch:
    """Stack windows of one length. Of the input words, `swap` become one of `swaps`."""
    width = min(CONTEXT, max(len(window.tokens) for window in windows))
    tokens = torch.full((len(windows), width), EOT)
    learn = torch.zeros(len(windows), width, dtype=torch.bool)
    spans = torch.zeros(len(windows), width, 2)
    for row, window in enumerate(windows):
        count = min(width, len(window.tokens))
        tokens[row, :count] = torch.tensor(window.tokens[:count])
        learn[row, :count] = torch.tensor(window.learn[:count])
        for k, span in _timed(window, count):
            spans[row, k, 0], spans[row, k, 1] = span
    inputs = tokens[:, :-1].clone()
    if rng:
        for row, column in torch.nonzero((inputs < EOT) & learn[:, :-1]).tolist():
            if column and rng.random() < swap:
                inputs[row, column] = rng.choice(swaps)
    characters = [torch.tensor(window.characters, dtype=torch.long) for window in windows]
    return Batch(
        mel=torch.stack([window.mel for window in windows]),
        offsets=torch.tensor([window.offset for window in windows]),
        inputs=to_compact[inputs],
        targets=to_compact[tokens[:, 1:]],
        learn=learn[:, 1:],
        input_spans=spans[:, :-1],
        target_spans=spans[:, 1:],
        characters=torch.cat(characters),
        character_counts=torch.tensor([len(c) for c in characters]),
    )


def _timed(window: Window, count: int) -> Iterator[tuple[int, Span]]:
    return ((k, span) for k, span in enumerate(window.spans[:count]) if span is not None)
