"""Files that were joined to one."""

from __future__ import annotations

import io

from scrivano.media.joined import recordings


def box(kind: bytes, body: bytes = bytes(100)) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def fragment(time: int) -> bytes:
    return box(b"moof", box(b"tfdt", b"\1\0\0\0" + time.to_bytes(8, "big"))) + box(b"mdat")


def lengths(data: bytes, start: int = 0) -> list[int]:
    return [end - begin for begin, end in recordings(io.BytesIO(data), start, len(data))]


HEAD = box(b"ftyp") + box(b"moov")
FILM = HEAD + box(b"mdat")
RECORDED = HEAD + fragment(0) + fragment(48_000)


def test_each_film_is_a_recording() -> None:
    assert lengths(b"tag" + FILM * 3, 3) == [len(FILM)] * 3
    assert lengths(RECORDED * 2) == [len(RECORDED)] * 2


def test_one_film_is_one_recording() -> None:
    late_head = box(b"ftyp") + box(b"mdat") + box(b"moov")
    for film in (FILM, RECORDED, late_head, FILM + box(b"free"), box(b"ftyp") + box(b"ftyp") + FILM):
        assert lengths(film) == [len(film)]


def test_fragments_that_go_on_after_another_head_are_the_same_recording() -> None:
    film = RECORDED + HEAD + fragment(96_000)

    assert lengths(film) == [len(film)]


def test_impossible_lengths_end_the_search() -> None:
    for data in (
        b"",
        b"abc",
        FILM + bytes(4) + b"mdat",
        FILM + b"\0\0\0\1mdat" + bytes(8),
        b"FLV\1",
        b"RIFF\0\0\0\0WAVE",
    ):
        assert lengths(data) == [len(data)]
