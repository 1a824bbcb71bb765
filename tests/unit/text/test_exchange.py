"""What two sides say, as one transcript."""

from __future__ import annotations

from scrivano.domain.transcript import Segment, Word
from scrivano.text.exchange import interleaved


def said(speaker: str, *words: tuple[str, float, float]) -> Segment:
    spoken = tuple(
        Word(text=f" {text}", start=start, end=end, probability=0.9, speaker=speaker) for text, start, end in words
    )
    text = "".join(word.text for word in spoken).strip()
    return Segment(start=spoken[0].start, end=spoken[-1].end, text=text, words=spoken, speaker=speaker, tokens=(1,))


def test_segments_are_in_the_order_in_which_they_start() -> None:
    agent = [said("S1", ("Hello.", 0, 1)), said("S1", ("Goodbye.", 8, 9))]
    customer = [said("S2", ("Hi.", 0.5, 2)), said("S2", ("No.", 4, 5))]

    assert [one.text for one in interleaved([agent, customer])] == ["Hello.", "Hi.", "No.", "Goodbye."]


def test_a_segment_is_divided_where_the_other_side_answers_in_a_pause() -> None:
    agent = [said("S1", ("Your", 0, 0.4), ("name?", 0.4, 1), ("Thank", 4, 4.5), ("you.", 4.5, 5))]
    customer = [said("S2", ("Ada.", 2, 3))]

    parts = interleaved([agent, customer])

    assert [(one.text, one.start, one.end) for one in parts] == [
        ("Your name?", 0, 1),
        ("Ada.", 2, 3),
        ("Thank you.", 4, 5),
    ]
    assert "".join(word.text for word in parts[2].words) == "Thank you."


def test_a_pause_without_an_answer_divides_nothing() -> None:
    agent = [said("S1", ("One", 0, 1), ("two.", 4, 5))]
    customer = [said("S2", ("Meanwhile.", 0.2, 0.9))]

    assert [one.text for one in interleaved([agent, customer])] == ["One two.", "Meanwhile."]


def test_segments_without_words_stay_whole() -> None:
    plain = Segment(start=0, end=5, text="Plain.", speaker="S1")

    assert interleaved([[plain], [said("S2", ("Yes.", 2, 3))]])[0] is plain
