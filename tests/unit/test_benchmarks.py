"""The pure parts of the benchmarks. What they measure is no test's business."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from benchmarks.accuracy import Errors, Recording, Spoken, add, edits, plain, recordings
from benchmarks.comparison import Measured, markdown
from benchmarks.comparison import plot as plot_words
from benchmarks.figures import Figure, at_least, at_most, plot, quantile, ratio, table, write
from benchmarks.limit import encoder_work, measure_int8
from benchmarks.load import at_once, interleaved, with_arrivals
from benchmarks.shapes import LARGE_SHAPES, ODDS, SHAPES, chain
from benchmarks.spoken import SpokenText, Words, clips, long_ones, read, wrong_words
from scrivano.engines.catalog import MILLION_PARAMETERS, NANO_FOLDER

FAST = Figure(group="W1", name="speed", value=1.7, goal=at_least(1.6))
SLOW = Figure(group="W3", name="wait", value=0.3, goal=at_most(0.25))
INFORMS = Figure(group="W1", name="RTFx", value=21.34, unit="RTFx")


def test_quantile_and_ratio() -> None:
    assert quantile([3, 1, 2], 0.95) == 3
    assert quantile([1.0], 0.99) == 1
    assert ratio([2, 9, 4], [1, 3, 4]) == 2


def test_the_table_has_ratios_first_and_says_what_was_missed() -> None:
    lines = table([INFORMS, SLOW, FAST]).splitlines()

    assert [line.split()[1] for line in lines[2:]] == ["wait", "speed", "RTFx"]
    assert "MISSED" in lines[2]
    assert "≥ 1.6" in lines[3]
    assert "met" in lines[3]
    assert "21.3 RTFx" in lines[4]


def test_figures_are_written_with_the_files_that_were_used(tmp_path: Path) -> None:
    write(tmp_path, [FAST, INFORMS], {"scale": {"ggml": Path("model.bin")}}, {})

    assert json.loads((tmp_path / "bench.json").read_text())["machine"]["scale"]["ggml"] == "model.bin"


def test_the_plot_has_a_bar_for_each_goal() -> None:
    drawn = plot([FAST, SLOW, INFORMS])

    assert drawn.count("<rect") == 3
    assert drawn.count('fill="#c43"') == 1


@pytest.mark.parametrize("tokens", [1, 96])
def test_the_chain_has_so_many_different_words_and_ends(tokens: int) -> None:
    places = chain(Tokenizer.from_file(str(NANO_FOLDER / "tokenizer.json")), tokens, seed=1)
    words = np.array(places[4:-2])

    assert words.shape == (tokens, len(ODDS))
    assert len(set(words.flat)) == words.size
    assert places[0] == [50258]
    assert places[-1] == [50257]


def test_the_encoder_of_base_does_the_work_that_is_known_of_it() -> None:
    layers, rest = encoder_work(SHAPES["base"])

    assert layers + rest == pytest.approx(43.7e9, rel=0.01)


def test_the_shapes_have_as_many_parameters_as_the_published_models() -> None:
    millions = {name: shape.parameters / 1e6 for name, shape in {**SHAPES, **LARGE_SHAPES}.items()}

    for name in ("tiny", "base", "small", "medium", "large-v3-turbo", "large-v3", "distil-large-v3"):
        assert millions[name] == pytest.approx(MILLION_PARAMETERS[name], rel=0.04)


def test_onnx_by_hand_can_be_run() -> None:
    assert measure_int8(64, 64, 64, threads=1, seconds=0.01) > 0


def test_load_waits_for_all() -> None:
    done: list[int] = []

    assert len(at_once([lambda: done.append(1)] * 3).waits) == 3
    assert interleaved({"a": lambda: "x", "b": lambda: "y"}, 2) == {"a": ["x", "x"], "b": ["y", "y"]}
    assert with_arrivals(lambda: None, lambda: None, 1.0).waits == []
    assert len(done) == 3


def test_word_errors_and_times() -> None:
    sentence = (Spoken("good", 0.5, 0.8), Spoken("morning", 0.8, 1.4), Spoken("all", 1.4, 1.6))
    heard = [{"word": "Good", "start": 0.6, "end": 0.8}, {"word": " evening", "start": 0.8, "end": 1.4}]
    errors = Errors()
    add(errors, Recording(Path("a"), "en", (sentence,)), [{"start": 0.25, "end": 2.0, "words": heard}])

    assert (errors.words, errors.wrong) == (3, 2)
    assert errors.word_times == {("a", 0): pytest.approx(0.1)}
    assert errors.segment_times == {("a", 0): 0.25}


def test_edits() -> None:
    assert edits(plain("One, two; three."), plain("one TWO four five")) == 2


def test_the_recordings_have_times_for_all_their_words() -> None:
    assert sum(len(one.words) for one in recordings()) > 400


def test_words_are_compared_in_one_form() -> None:
    assert wrong_words("L\u2019été, dit-il: ÇA va?", "l'e\u0301te\u0301 dit il ça va bien") == Words(1, 5)
    assert (Words(1, 4) + Words(1, 4)).percent == 25


def test_a_folder_of_speech_is_read_by_its_names(tmp_path: Path) -> None:
    for name, seconds in (("it-long", 61), ("en-clip", 2)):
        wave_file(tmp_path / f"{name}.wav", seconds)
        (tmp_path / f"{name}.txt").write_text("ciao a tutti")
    found = read(tmp_path)

    assert [(one.path.name, one.language, round(one.seconds)) for one in found] == [
        ("en-clip.wav", "en", 2),
        ("it-long.wav", "it", 61),
    ]
    assert [one.language for one in long_ones(found, 600)] == ["it"]
    assert [one.language for one in clips(found, 9)] == ["en"]
    assert long_ones(found[:1], 600) == found[:1]


def test_a_folder_of_speech_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no recording with a text"):
        read(tmp_path)
    (tmp_path / "en-one.txt").write_text("one")
    with pytest.raises(ValueError, match="no recording beside"):
        read(tmp_path)
    (tmp_path / "interview.txt").write_text("one")
    wave_file(tmp_path / "en-one.wav", 1)
    wave_file(tmp_path / "interview.wav", 1)
    with pytest.raises(ValueError, match="code of its language"):
        read(tmp_path)


def wave_file(path: Path, seconds: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000 * seconds))


def spoken_text(language: str, seconds: float) -> SpokenText:
    return SpokenText(Path(f"{language}.wav"), language, "text", seconds)


def test_long_ones_are_limited_for_each_language_and_clips_take_turns() -> None:
    spoken = [spoken_text(language, seconds) for language in ("en", "ru") for seconds in (100, 100, 100, 5, 6)]

    assert [(one.language, one.seconds) for one in long_ones(spoken, 250)] == [("en", 100)] * 2 + [("ru", 100)] * 2
    assert [(one.language, one.seconds) for one in clips(spoken, 3)] == [("en", 5), ("ru", 5), ("en", 6)]


OURS = Measured(
    name="Scrivano, beam 1",
    audio_s=100,
    seconds=10,
    cpu=12.5,
    memory_mb=1234,
    words={"en": Words(5, 100), "ru": Words(15, 100)},
    cpu_by_language={"en": 0.1, "ru": 0.15},
)


def test_systems_are_compared_in_a_table_and_a_plot() -> None:
    other = replace(OURS, name="whisper.cpp <a>", cpu=50)
    table = markdown("W1", [OURS, other]).splitlines()
    drawn = plot_words("W1", [OURS, other])

    assert table[2] == "| system | words wrong | x real time | processor s for a minute | memory | en | ru |"
    assert table[4] == "| Scrivano, beam 1 | 10.00 % of 200 | 10.0 | 7.50 | 1,234 MB | 5.0 %, 0.100 | 15.0 %, 0.150 |"
    assert drawn.count("<circle") == 2
    assert "whisper.cpp &lt;a&gt;" in drawn
    assert OURS.speed == 8
