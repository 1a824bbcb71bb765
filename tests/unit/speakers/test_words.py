"""Who said which word."""

from __future__ import annotations

from scrivano.domain.speakers import Turn
from scrivano.domain.transcript import Segment, Word
from scrivano.speakers.words import main_speakers, with_speakers, with_speakers_so_far


def segment(*words: tuple[str, float, float]) -> Segment:
    said = tuple(
        Word(text=text if number == 0 else f" {text}", start=start, end=end, probability=0.9)
        for number, (text, start, end) in enumerate(words)
    )
    text = "".join(word.text for word in said)
    return Segment(start=said[0].start, end=said[-1].end, text=text, words=said, tokens=(1, 2))


def spoken(segments: tuple[Segment, ...]) -> list[tuple[str | None, str]]:
    return [(one.speaker, one.text) for one in segments]


A, B = "S1", "S2"


def test_without_turns_nothing_changes() -> None:
    segments = (segment(("Hello.", 0, 1)),)

    assert with_speakers(segments, []) == segments


def test_a_segment_is_divided_where_the_speaker_changes() -> None:
    both = segment(("Is", 0.0, 0.2), ("it?", 0.2, 0.5), ("It", 1.0, 1.2), ("is.", 1.2, 1.5))

    first, second = with_speakers([both], [Turn(0, 0.8, A), Turn(0.9, 1.6, B)])

    assert spoken((first, second)) == [(A, "Is it?"), (B, "It is.")]
    assert (first.start, first.end, second.start, second.end) == (0.0, 0.5, 1.0, 1.5)
    assert [word.speaker for word in (*first.words, *second.words)] == [A, A, B, B]
    assert "".join(word.text for word in second.words) == second.text
    assert first.tokens == second.tokens == ()


def test_a_segment_of_one_speaker_stays_whole() -> None:
    [one] = with_speakers([segment(("Yes.", 0.0, 0.5))], [Turn(0, 1, A)])

    assert (one.speaker, one.tokens, one.words[0].speaker) == (A, (1, 2), A)


def test_a_change_near_the_end_of_a_sentence_is_there() -> None:
    """Whisper's times of words are less exact than their order."""
    both = segment(("Are", 0.0, 0.2), ("you", 0.2, 0.4), ("there?", 0.4, 0.8), ("Yes,", 0.8, 1.0), ("here.", 1.0, 1.4))

    early = with_speakers([both], [Turn(0, 0.45, A), Turn(0.45, 1.5, B)])
    late = with_speakers([both], [Turn(0, 0.95, A), Turn(0.95, 1.5, B)])

    assert spoken(early) == spoken(late) == [(A, "Are you there?"), (B, "Yes, here.")]


def test_a_change_in_the_middle_of_a_sentence_stays_there() -> None:
    words = segment(*((str(number), float(number), number + 1.0) for number in range(8)))

    assert spoken(with_speakers([words], [Turn(0, 4, A), Turn(4, 8, B)])) == [(A, "0 1 2 3"), (B, "4 5 6 7")]


def test_a_word_outside_of_all_turns_belongs_to_the_nearest() -> None:
    [one] = with_speakers([segment(("Hm.", 5.0, 5.5))], [Turn(0, 3, A), Turn(6, 9, B)])

    assert one.speaker == B


def test_in_overlapped_speech_a_word_belongs_to_who_speaks_most_of_it() -> None:
    [one] = with_speakers([segment(("Wait!", 1.0, 2.0))], [Turn(0, 1.4, A), Turn(1.2, 5, B)])

    assert one.speaker == B


def test_a_segment_without_words_gets_one_speaker() -> None:
    plain = Segment(start=0.0, end=4.0, text="All of it.")

    assert spoken(with_speakers([plain], [Turn(0, 3, A), Turn(3, 5, B)])) == [(A, "All of it.")]


def test_of_a_recording_that_is_heard_in_part_only_the_first_segments_have_speakers() -> None:
    both = segment(("Is", 0.0, 0.2), ("it?", 0.2, 0.5), ("It", 1.0, 1.2), ("really", 1.2, 1.5), ("is.", 1.5, 1.9))
    later = segment(("Later.", 5.0, 5.5))
    turns = [Turn(0, 0.8, A), Turn(0.9, 2.0, B)]

    assert main_speakers([both, later], turns) == [B, None]
    assert spoken(with_speakers_so_far([both, later], turns)) == [
        (A, "Is it?"),
        (B, "It really is."),
        (None, "Later."),
    ]
    assert main_speakers([both], []) == [None]
    assert with_speakers_so_far([both], []) == (both,)


def test_ten_hours_take_a_moment() -> None:
    turns = [Turn(float(at), at + 5.0, A if at % 10 else B) for at in range(0, 36_000, 5)]
    segments = [segment(("word", at + 0.1, at + 0.4), ("end.", at + 0.5, at + 0.9)) for at in range(36_000)]

    assert len(with_speakers(segments, turns)) == 36_000
