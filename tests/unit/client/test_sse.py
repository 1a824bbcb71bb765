from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scrivano.client.sse import Frame, frames, lines


def read(stream: str) -> list[Frame]:
    return list(frames([stream.encode()]))


def test_a_frame_has_its_event_data_and_id() -> None:
    assert read('id: 7\nevent: progress\ndata: {"percent": 1}\n\n') == [Frame("progress", '{"percent": 1}', "7")]


def test_comments_and_unknown_fields_are_skipped() -> None:
    assert read(": ping\n\n:\nretry: 5\nwhatever\ndata: x\n\n: ping\n\n") == [Frame("message", "x", "")]


def test_data_may_take_several_lines_and_only_one_space_is_removed() -> None:
    assert read("data: a\ndata:b\ndata:  c\ndata\n\n") == [Frame("message", "a\nb\n c\n", "")]


def test_an_id_is_remembered_and_an_event_name_is_not() -> None:
    stream = "id: 1\nevent: a\ndata: x\n\ndata: y\n\nid\ndata: z\n\nid: 2\0\ndata: w\n\n"

    assert [(frame.event, frame.id) for frame in read(stream)] == [
        ("a", "1"),
        ("message", "1"),
        ("message", ""),
        ("message", ""),
    ]


def test_an_event_without_data_or_without_its_end_is_dropped() -> None:
    assert read("event: a\nid: 1\n\ndata: x\n") == []


def test_only_cr_and_lf_end_a_line() -> None:
    assert read("data: a\u2028b\x0bc\x85\n\n") == [Frame("message", "a\u2028b\x0bc\x85", "")]


def test_a_byte_order_mark_is_not_part_of_the_first_field() -> None:
    assert read("\ufeffdata: x\n\n") == [Frame("message", "x", "")]


STREAM = ': hi\r\nid: 1\r\nevent: progress\r\ndata: {"text": "così 我"}\r\n\r\ndata: a\rdata: b\r\rdata: c\n\n'


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM.encode())), max_size=12))
def test_it_does_not_matter_where_the_stream_is_cut(cuts: list[int]) -> None:
    whole = STREAM.encode()
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]

    assert list(frames(pieces)) == read(STREAM)
    assert [frame.data for frame in read(STREAM)] == ['{"text": "così 我"}', "a\nb", "c"]


def test_a_line_is_yielded_as_soon_as_it_ends() -> None:
    sent: list[bytes] = []

    def stream() -> Iterator[bytes]:
        for piece in (b"one\r", b"\ntwo\n"):
            sent.append(piece)
            yield piece

    reading = lines(stream())

    assert next(reading) == "one"
    assert sent == [b"one\r"]
    assert list(reading) == ["two"]
