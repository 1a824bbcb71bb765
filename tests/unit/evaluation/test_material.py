"""Which recordings are found, with which reference and language."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.evaluation.material import Recording, find_recordings


def find(
    folder: Path, *files: str, language: str | None = None, in_name: bool = False
) -> tuple[dict[str, Recording], list[str]]:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[{"start": 0, "end": 1, "text": "json"}]' if name.endswith(".json") else f"text of {name}")
    warnings: list[str] = []
    found = find_recordings([folder], language=language, in_name=in_name, warn=warnings.append)
    return {one.name: one for one in found}, warnings


def test_recordings_in_subfolders_have_their_references(tmp_path: Path) -> None:
    found, warnings = find(tmp_path, "b.wav", "b.txt", "x/a.mp3", "x/a.txt", "x/.hidden.wav", "notes.txt")

    assert {name: one.reference.text for name, one in found.items()} == {
        "b.wav": "text of b.txt",
        str(Path("x") / "a.mp3"): "text of x/a.txt",
    }
    assert warnings == []


def test_the_reference_with_the_most_times_is_used(tmp_path: Path) -> None:
    found, _ = find(tmp_path, "a.wav", "a.txt", "a.json", "a.srt")

    assert found["a.wav"].reference.text == "json"


def test_what_is_no_transcript_is_left_for_the_next_reference(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"sample_rate": 16000}')
    (tmp_path / "a.txt").write_text("words")
    found, warnings = find(tmp_path, "a.wav")

    assert found["a.wav"].reference.text == "words"
    assert "a.json is not used as a reference" in warnings[0]


@pytest.mark.parametrize(("name", "content"), [("a.srt", "no subtitles"), ("a.json", "[]")])
def test_a_reference_without_any_text_is_left_for_the_next_one(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "a.wav").touch()
    (alone, before), (found, warnings) = find(tmp_path), find(tmp_path, "a.txt")

    assert alone == {}
    assert before[1] == "a.wav is left out: no reference beside it can be used (a.json, a.vtt, a.srt, a.txt)"
    assert found["a.wav"].reference.text == "text of a.txt"
    assert [text.split(":")[0] for text in warnings] == [f"{name} is not used as a reference"]


def test_an_empty_text_says_that_nobody_speaks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()

    assert find(tmp_path, "a.wav")[0]["a.wav"].reference.text == ""


def test_a_recording_without_a_reference_is_named(tmp_path: Path) -> None:
    found, warnings = find(tmp_path, "a.wav", "other.txt")

    assert found == {}
    assert warnings == ["a.wav is left out: there is no reference beside it (a.json, a.vtt, a.srt, a.txt)"]


@pytest.mark.parametrize(
    ("recording", "reference", "in_name", "language"),
    [
        ("a.wav", "a.txt", False, None),
        ("a.wav", "a.de.txt", False, "de"),
        ("a.wav", "a.pt-BR.txt", False, "pt"),
        ("a.wav", "a.wav.txt", False, None),
        ("de-a.wav", "de-a.txt", False, None),
        ("de-a.wav", "de-a.txt", True, "de"),
        ("de_a.wav", "de_a.txt", True, "de"),
        ("talk-a.wav", "talk-a.txt", True, None),
    ],
)
def test_languages_are_known_from_names(
    tmp_path: Path, recording: str, reference: str, in_name: bool, language: str | None
) -> None:
    found, _ = find(tmp_path, recording, reference, in_name=in_name)

    assert found[recording].language == language


def test_a_given_language_is_that_of_all(tmp_path: Path) -> None:
    assert find(tmp_path, "a.wav", "a.de.txt", language="it")[0]["a.wav"].language == "it"


def test_files_may_be_named_themselves(tmp_path: Path) -> None:
    find(tmp_path, "a.strange", "a.txt")

    [found] = find_recordings([tmp_path / "a.strange"], language=None, in_name=False, warn=print)

    assert (found.name, found.reference.text) == ("a.strange", "text of a.txt")


def test_what_the_shell_names_is_sorted_out(tmp_path: Path) -> None:
    find(tmp_path, "a.wav", "a.txt", "b.strange", "b.json", "notes.md", "x/c.wav", "x/c.srt")
    (tmp_path / "x/c.srt").write_text("00:00:00,000 --> 00:00:01,000\nwords\n")
    warnings: list[str] = []

    found = find_recordings(sorted(tmp_path.iterdir()), language=None, in_name=False, warn=warnings.append)

    assert [one.name for one in found] == ["a.wav", "b.strange", "c.wav"]
    assert warnings == ["notes.md is left out: it is neither a recording nor a reference (.json, .vtt, .srt, .txt)"]


def test_a_recording_that_is_named_several_times_counts_once(tmp_path: Path) -> None:
    find(tmp_path, "x/a.wav", "x/a.txt")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    paths = [tmp_path / "x" / "a.wav", tmp_path, tmp_path / "x", tmp_path / "link", tmp_path]

    assert [one.name for one in find_recordings(paths, language=None, in_name=False, warn=print)] == ["a.wav"]
