"""Messages survive the wire, and what no child sends is refused: a child that has gone wrong may write anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.job import Task
from scrivano.domain.recording import AudioTrack, RecordingWarning
from scrivano.domain.transcript import Segment, Word
from scrivano.processes.messages import (
    ChunkCut,
    ChunkRequest,
    Close,
    Decode,
    Decoded,
    Described,
    Downloading,
    EngineMessage,
    EngineRequest,
    Failed,
    Load,
    Loaded,
    MediaMessage,
    PreparationFailed,
    Prepare,
    Prepared,
    Preparing,
    Probed,
    encoder,
    pairs_of,
    parser,
)

WORD = {"text": "one", "start": 0.1, "end": 0.5, "probability": 0.9}
SEGMENT = {"text": "one", "start": 0.0, "end": 1.0, "avg_logprob": -0.1, "words": [WORD]}
RESULT = {"language": "en", "language_probability": 1, "segments": [SEGMENT], "language_probabilities": {"en": 1.0}}
DECODED = {"type": "result", "id": 3, "results": [RESULT], "seconds": 1.0}
SPOKEN = Segment(start=0.0, end=1.0, text="Sì.", words=(Word(text="Sì.", start=0.0, end=1.0, probability=0.9),))
TRACK = AudioTrack(track=1, codec="aac", channels=2, sample_rate=48000, duration=None, start=0.5)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Prepare, Prepare(source="a", target="b", max_audio_s=10.0, memory_bytes=None)),
        (MediaMessage, Probed(duration=None)),
        (MediaMessage, ChunkCut(index=1, pieces=((0, 5), (7, 9)))),
        (MediaMessage, Preparing()),
        (MediaMessage, Described(audio=None)),
        (MediaMessage, Described(audio=TRACK, warnings=(RecordingWarning(code="quiet", message="“so”", at=1.5),))),
        (MediaMessage, Prepared(duration=3.5, chunks=2)),
        (MediaMessage, PreparationFailed(code="not_media", message="“no”")),
        (EngineRequest, Load(model="base", path="/models/base")),
        (
            EngineRequest,
            Decode(
                id=3,
                options=DecodingOptions(temperatures=(0.0, 0.4), initial_prompt="Minutes."),
                chunks=(ChunkRequest(path="p", pieces=((0, 5),), task=Task.TRANSLATE, languages=("en", "it")),),
            ),
        ),
        (EngineRequest, Close()),
        (EngineMessage, Downloading(done_bytes=1, total_bytes=None)),
        (EngineMessage, Loaded(warm_up_s=0.5)),
        (
            EngineMessage,
            Decoded(
                id=3, results=(ChunkResult(language="it", language_probability=1.0, segments=(SPOKEN,)),), seconds=1
            ),
        ),
        (EngineMessage, Failed(id=None, kind="memory", message="no memory")),
    ],
)
def test_a_message_survives_the_wire(kind: Any, message: object) -> None:
    line = encoder(kind)(message)

    assert b"\n" not in line
    assert parser(kind)(line) == message


def test_a_chunk_survives_the_wire() -> None:
    chunk = Chunk(4, (Piece(0, 5), Piece(7, 9)))

    assert ChunkCut(index=4, pieces=pairs_of(chunk.pieces)).chunk == chunk


def test_unknown_fields_are_ignored() -> None:
    assert parser(EngineMessage)(b'{"type": "loaded", "mood": "good"}') == Loaded()


@pytest.mark.parametrize(
    "about",
    [
        {"audio": {**asdict(TRACK), "start": -1.0}},
        {"audio": {**asdict(TRACK), "duration": float("nan")}},
        {"audio": None, "warnings": [{"code": "quiet", "message": "x" * 2000}]},
        {"audio": None, "warnings": [{"code": "quiet", "message": "x"}] * 200},
    ],
)
def test_what_no_recording_is_like_is_refused(about: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parser(MediaMessage)(json.dumps({"type": "about", **about}).encode())


def test_what_differs_by_rounding_is_accepted() -> None:
    segment = {**SEGMENT, "start": 1.0000001, "end": 1.0, "words": []}
    rounded = {**DECODED, "results": [{**RESULT, "language_probability": 1.0000001, "segments": [segment]}]}

    parser(EngineMessage)(json.dumps(rounded).encode())


@pytest.mark.parametrize(
    "line",
    [
        "I am not JSON",
        "[]",
        "{}",
        '{"type": "dance"}',
        '{"type": "result"}',
        json.dumps({**DECODED, "seconds": "1"}),
        json.dumps({**DECODED, "seconds": -1}),
        json.dumps({**DECODED, "seconds": float("nan")}),
        json.dumps({**DECODED, "results": None}),
        json.dumps({**DECODED, "results": ["text"]}),
        json.dumps({"type": "failed", "id": 3, "kind": "mood", "message": ""}),
    ],
)
def test_what_is_no_message_of_an_engine_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parser(EngineMessage)(line.encode())


@pytest.mark.parametrize(
    "change",
    [
        {"language": None},
        {"language_probability": 2},
        {"language_probability": "likely"},
        {"language_probabilities": {"en": float("nan")}},
        {"segments": None},
        {"segments": [{**SEGMENT, "start": -1}]},
        {"segments": [{**SEGMENT, "end": 1e9}]},
        {"segments": [{**SEGMENT, "start": 2.0}]},
        {"segments": [{**SEGMENT, "text": 7}]},
        {"segments": [{**SEGMENT, "avg_logprob": float("inf")}]},
        {"segments": [{**SEGMENT, "words": [{**WORD, "end": None}]}]},
        {"segments": [{**SEGMENT, "words": [{}]}]},
        {"segments": [{**SEGMENT, "words": [{**WORD, "start": float("nan")}]}]},
    ],
)
def test_a_result_that_cannot_be_true_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parser(EngineMessage)(json.dumps({**DECODED, "results": [RESULT | change]}).encode())


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "chunk", "index": 0, "pieces": []}',
        '{"type": "chunk", "index": -1, "pieces": [[0, 5]]}',
        '{"type": "chunk", "index": 0, "pieces": [[0]]}',
        '{"type": "end", "duration": -1.0, "chunks": 0}',
        '{"type": "result"}',
    ],
)
def test_what_is_no_message_of_a_media_child_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parser(MediaMessage)(line.encode())
