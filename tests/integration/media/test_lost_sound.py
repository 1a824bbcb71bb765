"""Recordings whose sound other programs lose: it is found, at its time, or the job says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import (
    KINDS,
    Audio,
    Kind,
    Prepared,
    Spoken,
    covered,
    prepared,
    refused,
    samples,
    spoken,
    write,
    write_wav,
)

from scrivano.domain.chunk import SAMPLE_RATE

SILENCE = np.zeros(SAMPLE_RATE * 5, np.int16)


def write_tracks(path: Path, tracks: Sequence[tuple[Audio, str]]) -> Path:
    """A file with several audio tracks, each with its language."""
    with av.open(str(path), "w") as container:
        for _, language in tracks:
            stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
            stream.metadata["language"] = language
        for stream, (audio, _) in zip(container.streams.audio, tracks, strict=True):
            packet = av.Packet(audio.tobytes())
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), 0, 0
            container.mux(packet)
    return path


def write_stamped(path: Path, audio: Audio, stamp: Sequence[float]) -> Path:
    """Frames of 20 ms, each with the time stamp (seconds) that `stamp` has for it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for number, seconds in enumerate(stamp):
            packet = av.Packet(audio[number * 320 : (number + 1) * 320].tobytes())
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = round(seconds * 1000)
            container.mux(packet)
    return path


def holds(result: Prepared, speech: Spoken, after_s: float = 0.0, scale: float = 1.0) -> bool:
    return all(
        covered(start * scale + after_s, end * scale + after_s, result.pieces) for start, end in speech.sentences
    )


def test_stereo_with_one_side_upside_down_keeps_its_speech(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    halfway = audio.copy()
    halfway[len(audio) // 2 :] *= -1

    for other in (-audio, halfway):
        assert holds(prepared(write_wav(tmp_path / "inverted.wav", [audio, other])), speech)


@pytest.mark.parametrize(("count", "spoken"), [(3, 2), (6, 3), (9, 0), (9, 8), (24, 23), (64, 63)])
def test_speech_in_any_channel_is_heard(count: int, spoken: int, speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    channels = [SILENCE] * count
    channels[spoken] = audio

    result = prepared(write_wav(tmp_path / "many.wav", channels))

    assert holds(result, speech)
    assert result.about["audio"]["channels"] == count


def test_a_track_without_speech_is_followed_by_the_next(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    result = prepared(write_tracks(tmp_path / "two.mka", [(SILENCE, "eng"), (audio, "eng")]))

    assert holds(result, speech)
    assert (result.about["audio"]["track"], result.warnings) == (1, ["other_track"])
    assert result.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.01)


def test_tracks_are_chosen_by_language_and_by_number(audio: Audio, tmp_path: Path) -> None:
    source = write_tracks(tmp_path / "two.mka", [(audio, "eng"), (audio[: len(audio) // 2], "ita")])

    assert prepared(source).about["audio"]["track"] == 0
    assert prepared(source, language="it").about["audio"]["track"] == 1
    assert prepared(source, audio_track="1").about["audio"]["track"] == 1
    assert prepared(source, audio_track="ita").about["audio"]["track"] == 1
    assert prepared(source, language="it", audio_track="0").about["audio"]["track"] == 0


def turns(speech: Spoken, audio: Audio) -> tuple[Audio, Audio]:
    """What two people say in turn: each track is silent where the other one speaks."""
    one, two = audio.copy(), audio.copy()
    for number, (start, end) in enumerate(speech.sentences):
        (one, two)[number % 2][round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = 0
    return one, two


def test_two_people_with_a_track_each_are_both_heard(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    one, two = turns(speech, audio)
    source = write_tracks(tmp_path / "interview.mka", [(one, "und"), (-two, "und"), (SILENCE, "und")])

    both = prepared(source)
    assert holds(both, speech)
    assert (both.about["audio"]["track"], both.about["audio"]["tracks"]) == (0, [0, 1])
    assert both.warnings == ["tracks_mixed"]
    assert both.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.01)

    alone = prepared(source, audio_track="1")
    assert (alone.about["audio"]["track"], alone.about["audio"]["tracks"], alone.warnings) == (1, [], [])
    assert not holds(alone, speech)


def test_a_person_who_speaks_late_is_heard(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    late = np.concatenate([np.zeros_like(audio), audio])

    result = prepared(write_tracks(tmp_path / "late.mka", [(audio, "eng"), (late, "eng")]))

    assert holds(result, speech)
    assert holds(result, speech, after_s=len(audio) / SAMPLE_RATE)


def test_a_copy_of_a_track_is_not_mixed_in(audio: Audio, tmp_path: Path) -> None:
    result = prepared(write_tracks(tmp_path / "copy.mka", [(audio, "eng"), (audio // 2, "eng")]))

    assert (result.about["audio"]["tracks"], result.warnings) == ([], [])
    np.testing.assert_array_equal(result.audio, audio)


def test_another_version_of_a_programme_is_not_mixed_in(audio: Audio, tmp_path: Path) -> None:
    other = samples(spoken("en-exact-2").path)

    result = prepared(write_tracks(tmp_path / "film.mka", [(audio, "und"), (other, "und"), (audio, "ita")]))

    assert (result.about["audio"]["track"], result.about["audio"]["tracks"]) == (0, [])
    assert result.warnings == ["tracks_left_out"]
    assert "not track 1;" in result.about["warnings"][0]["message"]


def test_without_speech_detection_a_silent_track_is_left_out_too(audio: Audio, tmp_path: Path) -> None:
    result = prepared(write_tracks(tmp_path / "two.mka", [(SILENCE, "eng"), (audio, "eng")]), vad=False)

    assert (result.about["audio"]["track"], result.warnings) == (1, ["other_track"])
    assert covered(0.5, len(audio) / SAMPLE_RATE - 0.5, result.pieces)


def test_a_chained_file_is_read_to_its_end(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    kinds = [Kind(codec="libopus", rate=48000, layout="stereo"), Kind(codec="libopus", rate=48000), Kind(codec="flac")]
    links = [write(tmp_path / f"{number}.ogg", audio, kind).read_bytes() for number, kind in enumerate(kinds)]
    chained = tmp_path / "chained"
    chained.write_bytes(links[0] + links[1] + b"not Ogg" * 100 + links[2])

    result = prepared(chained)

    length = len(audio) / SAMPLE_RATE
    assert result.end["duration"] == pytest.approx(3 * length, abs=0.2)
    assert all(holds(result, speech, after_s=number * length) for number in range(3))


def test_a_link_that_was_cut_off_does_not_hide_the_next(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    link = write(tmp_path / "a.ogg", audio, Kind(codec="libopus", rate=48000)).read_bytes()
    chained = tmp_path / "chained"
    chained.write_bytes(link[: len(link) // 2] + link)

    result = prepared(chained)

    assert holds(result, speech, after_s=result.end["duration"] - len(audio) / SAMPLE_RATE)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_files_that_were_joined_follow_each_other(suffix: str, audio: Audio, tmp_path: Path) -> None:
    source = tmp_path / "joined"
    source.write_bytes(write(tmp_path / f"a.{suffix}", audio, KINDS[suffix]).read_bytes() * 3)

    np.testing.assert_array_equal(prepared(source).audio, np.tile(audio, 3))


@pytest.mark.parametrize(
    ("suffix", "options"), [("mp4", {}), ("mp4", {"movflags": "frag_keyframe+empty_moov"}), ("flv", {})]
)
def test_films_that_were_joined_follow_each_other(
    suffix: str, options: dict[str, str], speech: Spoken, audio: Audio, tmp_path: Path
) -> None:
    one = write(tmp_path / f"a.{suffix}", audio, Kind(codec="aac", options=options)).read_bytes()
    source = tmp_path / "joined"
    source.write_bytes(one * 2)

    result = prepared(source)

    assert result.warnings == []
    assert holds(result, speech)
    assert holds(result, speech, after_s=result.end["duration"] / 2)


@pytest.mark.parametrize("claimed", [2, 44, 50_000])
def test_the_sound_behind_what_an_old_head_announces_is_read(claimed: int, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "old.wav", audio)
    data = bytearray(source.read_bytes())
    start = data.index(b"data")
    data[start + 4 : start + 8] = claimed.to_bytes(4, "little")
    source.write_bytes(data)

    np.testing.assert_array_equal(prepared(source).audio, audio)


def test_what_else_is_in_a_wav_file_is_not_sound(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", audio)
    for rest in (b"LIST" + (9000).to_bytes(4, "little") + bytes(9000), b"ID3\4" + b"\x80" * 9000, b"TAG" + bytes(125)):
        other = tmp_path / "more"
        other.write_bytes(source.read_bytes() + rest)

        np.testing.assert_array_equal(prepared(other).audio, audio)


@pytest.mark.parametrize("kind", ["RIFF", "RF64"])
def test_a_wav_file_that_does_not_say_how_long_it_is_is_read_to_its_end(
    kind: str, audio: Audio, tmp_path: Path
) -> None:
    data = write(tmp_path / "a.wav", audio).read_bytes()
    start = data.index(b"data")
    form, body = data[12:start], data[start + 8 :]
    if kind == "RF64":
        form = b"ds64" + (28).to_bytes(4, "little") + bytes(28) + form
        head = b"RF64\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff"
    else:
        head = b"RIFF\0\0\0\0WAVE" + form + b"data\0\0\0\0"
    source = tmp_path / "pipe"
    source.write_bytes(head + body)

    np.testing.assert_array_equal(prepared(source).audio, audio)


def test_a_file_that_ends_early_says_so(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "cut.wav", audio)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])

    result = prepared(source)

    (warning,) = result.about["warnings"]
    assert warning["code"] == "ended_early"
    assert warning["at"] == pytest.approx(len(audio) / SAMPLE_RATE / 2, abs=0.1)
    assert "ended early, at" in warning["message"]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("ogg", Kind(codec="libopus", rate=48000)),
        ("ogg", Kind(codec="flac")),
        ("ts", Kind(codec="mp2", rate=48000)),
        ("avi", Kind(codec="libmp3lame")),
        ("caf", Kind()),
        ("w64", Kind()),
        ("wma", KINDS["wma"]),
        ("flv", KINDS["flv"]),
        ("mp4", Kind(codec="aac", options={"movflags": "frag_keyframe+empty_moov"})),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_was_cut_off_says_so(suffix: str, kind: Kind, whole: bool, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / f"cut.{suffix}", audio, kind)
    if not whole:
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2 // 188 * 188 + 100])

    codes = [code for code in prepared(source).warnings if code != "damaged_packets"]
    assert codes == ([] if whole else ["ended_early"])


@pytest.mark.parametrize("suffix", ["mkv", "wma"])
def test_sound_that_ends_before_the_picture_is_complete(suffix: str, audio: Audio, tmp_path: Path) -> None:
    kind = Kind(codec="wmav2" if suffix == "wma" else "ac3", rate=48000, bit_rate=64_000, picture=True, late_s=9.0)
    sound = audio[: SAMPLE_RATE * 3]
    source = write(tmp_path / f"late.{suffix}", sound, kind, picture_s=20.0)

    assert prepared(source).warnings == []


def test_a_clock_that_starts_late_or_jumps_is_no_missing_sound(audio: Audio, tmp_path: Path) -> None:
    count = len(audio) // 320
    late = write_stamped(tmp_path / "late.mkv", audio, [6000 + number * 0.02 for number in range(count)])
    stamps = [number * 0.02 + (108_000.0 if number >= 160 else 0.0) for number in range(count)]
    jump = write_stamped(tmp_path / "jump.mkv", audio, stamps)

    assert prepared(late).warnings == []
    assert prepared(jump).warnings == ["time_jump"]


def test_a_track_without_any_sound_says_so(tmp_path: Path) -> None:
    assert prepared(write_wav(tmp_path / "empty.wav", [np.zeros(0, np.int16)])).warnings == ["no_sound"]


@pytest.mark.parametrize(
    ("suffix", "length"), [("au", bytes(4)), ("aiff", bytes(4)), ("w64", bytes(8)), ("w64", b"\xff" * 7 + b"\x7f")]
)
def test_other_files_without_a_length_are_read_to_their_end(
    suffix: str, length: bytes, audio: Audio, tmp_path: Path
) -> None:
    big = Kind(codec="pcm_s16le" if suffix == "w64" else "pcm_s16be")
    data = bytearray(write(tmp_path / f"a.{suffix}", audio, big).read_bytes())
    if suffix == "au":
        data[8:12] = length
    elif suffix == "aiff":
        sound, common = data.index(b"SSND"), data.index(b"COMM")
        for at in (4, sound + 4, common + 10):
            data[at : at + 4] = length
    else:
        sound = data.index(b"data\xf3\xac")
        for at in (16, sound + 16):
            data[at : at + 8] = length
    source = tmp_path / "pipe"
    source.write_bytes(data)

    np.testing.assert_array_equal(prepared(source).audio[: len(audio)], audio)


def test_sound_that_is_missing_inside_is_told(audio: Audio, tmp_path: Path) -> None:
    stamps = [number * 0.02 + (3.0 if number >= 160 else 0.0) for number in range(len(audio) // 320)]

    result = prepared(write_stamped(tmp_path / "gap.mkv", audio, stamps))

    (warning,) = result.about["warnings"]
    assert (warning["code"], warning["at"]) == ("gap", pytest.approx(3.2, abs=0.01))


def test_a_quiet_recording_is_amplified_and_quiet_noise_gives_nothing(
    speech: Spoken, audio: Audio, tmp_path: Path
) -> None:
    with av.open(str(tmp_path / "quiet.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((audio[None] / 32768 * 0.003).astype(np.float32), "flt", "mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    noise = np.random.default_rng(1).normal(0, 20, SAMPLE_RATE * 20).astype(np.int16)

    result = prepared(tmp_path / "quiet.wav")

    assert holds(result, speech)
    assert result.warnings == ["quiet"]
    assert prepared(write(tmp_path / "noise.wav", noise)).end["chunks"] == 0


@pytest.mark.parametrize("suffix", ["flac", "wav", "aac", "mp3"])
def test_tags_before_any_format_are_skipped(suffix: str, audio: Audio, tmp_path: Path) -> None:
    size = 1_200_000
    tag = b"ID3\4\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    source = tmp_path / "tagged"
    source.write_bytes(tag + write(tmp_path / f"a.{suffix}", audio, KINDS[suffix]).read_bytes())

    assert prepared(source).end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.15)


def test_a_format_without_a_head_is_known_by_the_name_s_ending(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "a.g722", audio, Kind(codec="g722")).rename(tmp_path / "upload")

    assert refused(source).code == "not_media"
    assert holds(prepared(source, ending="G722"), speech)
    # An ending of another format, or a wrong one, changes nothing.
    wav = write(tmp_path / "a.wav", audio)
    assert holds(prepared(wav, ending="g722"), speech)
    assert holds(prepared(wav, ending="m3u8"), speech)


def test_sound_that_begins_late_in_a_transport_stream_is_found(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "late.ts", audio, Kind(codec="mp2", rate=48000, picture=True, late_s=12.0))

    assert holds(prepared(source), speech, after_s=12.0)


@pytest.mark.parametrize("gap", [0.1, 0.3, 2.0])
def test_gaps_count(gap: float, speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    count = len(audio) // 320
    stamps = [number * 0.02 + (gap if number >= 160 else 0.0) for number in range(count)]

    result = prepared(write_stamped(tmp_path / "gap.mkv", audio, stamps))

    assert result.end["duration"] == pytest.approx(count * 0.02 + gap, abs=0.01)


def test_overlapping_segments_do_not_shift_the_clock(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    source = tmp_path / "segments"
    with source.open("wb") as file:
        for number, start in enumerate(range(0, len(audio), 8000)):
            first = max(0, start - 800)
            kind = Kind(codec="mp2", rate=SAMPLE_RATE, late_s=first / SAMPLE_RATE)
            file.write(write(tmp_path / f"{number}.ts", audio[first : start + 8000], kind).read_bytes())

    result = prepared(source)

    assert result.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.1)
    assert holds(result, speech)


def test_compressed_time_stamps_are_followed(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    count = len(audio) // 320
    stamps = [number * 0.018 for number in range(count)]

    result = prepared(write_stamped(tmp_path / "slow.mkv", audio, stamps))

    assert result.end["duration"] == pytest.approx(count * 0.018, abs=0.05)
    assert holds(result, speech, scale=0.9)


def test_each_refusal_says_what_is_wrong(audio: Audio, tmp_path: Path) -> None:
    unfinished = write(tmp_path / "phone.m4a", audio, KINDS["m4a"])
    unfinished.write_bytes(unfinished.read_bytes().replace(b"moov", b"junk"))
    unknown = write(tmp_path / "a.mka", audio, Kind(codec="flac"))
    unknown.write_bytes(unknown.read_bytes().replace(b"A_FLAC", b"A_FLOC"))
    text = tmp_path / "text.mp3"
    text.write_text("this is not a recording\n" * 100)

    assert "did not finish it" in str(refused(unfinished))
    assert "codec that is not supported" in str(refused(unknown))
    assert "not a recording" in str(refused(text))
    assert "no audio stream" in str(refused(write(tmp_path / "video.mp4", None, Kind(picture=True))))


def test_samples_that_are_no_numbers_spoil_only_themselves(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    floats = np.repeat((audio / 32768).astype(np.float32)[:, None], 2, axis=1)
    floats[1000:1005] = [np.nan, np.inf]
    with av.open(str(tmp_path / "nan.wav"), "w") as container:
        packet = av.Packet(floats.tobytes())
        packet.stream = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout="stereo")
        packet.time_base, packet.pts, packet.dts = Fraction(1, SAMPLE_RATE), 0, 0
        container.mux(packet)

    assert holds(prepared(tmp_path / "nan.wav"), speech)


def test_the_samples_of_a_shipped_recording_are_not_changed(speech: Spoken, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.symlink_to(speech.path)

    np.testing.assert_array_equal(prepared(source).audio, samples(speech.path))
