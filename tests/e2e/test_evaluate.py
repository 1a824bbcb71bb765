"""`scrivano evaluate` from the outside: figures, comparisons, stored results, and the page in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMEDRIVER, CHROMIUM, browser
from served import CATALOG, DATA, Served, served, until

NAMES = ("en-exact-0.flac", "en-exact-2.flac", "it-exact-0.flac")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("evaluate"), IDLE_TIMEOUT_SECS="0", KEEP_AUDIO="true") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings with references of three kinds. The first one has words that nobody said."""
    folder = tmp_path_factory.mktemp("my recordings")
    for name in NAMES:
        shutil.copy(DATA / name, folder / name)
    wrong = " ".join(f"nobody said number {n}" for n in range(3))
    (folder / "en-exact-0.en.txt").write_text(f"{CATALOG[NAMES[0]]['text']} {wrong}")
    (folder / "en-exact-2.json").write_text(json.dumps({"language": "en", "segments": _segments(NAMES[1])}))
    [first, *_] = _segments(NAMES[2])
    (folder / "it-exact-0.it.srt").write_text(
        f"1\n{_srt(first['start'])} --> 00:01:00,000\n{CATALOG[NAMES[2]]['text']}\n", encoding="utf-8"
    )
    (folder / "lonely.wav").write_bytes(b"RIFF")
    return folder


def _segments(name: str) -> list[dict[str, Any]]:
    return [
        {
            "start": sentence["words"][0][0],
            "end": sentence["words"][-1][1],
            "text": sentence["text"],
            "words": [
                {"word": f" {text}", "start": start, "end": end}
                for text, (start, end) in zip(sentence["text"].split(), sentence["words"], strict=True)
            ],
        }
        for sentence in CATALOG[name]["sentences"]
    ]


def _srt(seconds: float) -> str:
    return f"00:00:{int(seconds):02},{round(seconds % 1 * 1000):03}"


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scrivano", "evaluate", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=_env())
    assert ran.returncode == code, ran.stderr + ran.stdout
    return ran


def _env() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "160", "WHISPER_MODEL": "nano"}


@pytest.fixture(scope="module")
def reports(server: Served, folder: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    ran = run(
        folder, "--server", server.url, "--set", "default", "--set", "beam_size=1,word_timestamps=false",
        "--json", folder / "report.results", "--html", folder / "report.html",
    )  # fmt: skip
    return folder, ran


def test_two_settings_are_measured_and_compared(reports: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ran = reports
    report = json.loads((folder / "report.results").read_text())

    first, second = report["systems"]
    assert (first["name"], second["name"]) == ("nano", "nano, beam_size=1, word_timestamps=false")
    assert first["by_language"].keys() == {"en", "it"}
    assert first["by_language"]["it"]["wer"] == 0
    # What nobody said is missing: 12 words in a row.
    assert first["recordings"]["en-exact-0.flac"]["counts"]["deleted"] == 12
    [hole] = first["recordings"]["en-exact-0.flac"]["holes"]
    assert (hole["words"], first["all"]["holes"], first["all"]["hole_words"]) == (12, 1, 12)
    assert first["all"]["coverage"] < 1
    assert first["rtfx"] > 0
    assert first["all"]["times"]["word_starts"]["median"] < 0.3
    assert "word_starts" not in second["all"]["times"]
    assert report["comparisons"][0]["by_language"].keys() == {"all", "en", "it"}
    assert "lonely.wav is left out: there is no reference beside it" in ran.stderr
    for text in ("Errors, after Whisper's normalizers", "Errors of times", "compared with nano", "0.00 %"):
        assert text in ran.stdout


def test_the_server_keeps_nothing_of_it(server: Served, reports: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert server.http.get("/jobs").json()["jobs"] == []


def test_stored_results_are_compared_without_a_server(reports: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = reports
    again = folder / "again.results"

    ran = run(folder, "--results", folder / "report.results", "--json", again)

    before, after = (json.loads(path.read_text()) for path in (folder / "report.results", again))
    assert [system["all"] for system in after["systems"]] == [system["all"] for system in before["systems"]]
    assert after["comparisons"] == before["comparisons"]
    assert "compared with nano" in ran.stdout


def test_a_server_is_started_for_settings_of_its_own(folder: Path, tmp_path: Path) -> None:
    run(folder / NAMES[0], "--set", "LATENCY=fast", "--json", tmp_path / "one.json")

    [system] = json.loads((tmp_path / "one.json").read_text())["systems"]
    assert (system["name"], system["settings"]["LATENCY"]) == ("nano, LATENCY=fast", "fast")
    assert system["recordings"].keys() == {NAMES[0]}


def test_a_recording_that_fails_is_counted_and_named(server: Served, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no recording at all")
    (tmp_path / "a.txt").write_text("two words")

    ran = run(tmp_path, "--server", server.url, "--html", tmp_path / "a.html", "--embed-audio", code=1)

    assert "a.wav: failed: " in ran.stderr
    assert "1 (1 failed)" in ran.stdout
    assert "100.00 %" in ran.stdout
    assert 'src="data:audio/' in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such file or folder: nowhere"),
        (["."], "no recordings with references"),
        ([".", "--set", "beam_size"], "such as beam_size=1"),
        ([".", "--language", "xx"], "language must be an ISO 639-1 code"),
        ([".", "--html", "nowhere/a.html"], "cannot write nowhere/a.html"),
        ([".", "--results", "bad"], "these are no results"),
        ([".", "--server", "http://h", "--set", "LATENCY=fast"], "leave out --server"),
    ],
)
def test_wrong_usage_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "bad").write_text("{}")
    monkeypatch.chdir(tmp_path)

    assert message in run(*arguments, code=2).stderr


def test_without_its_packages_it_says_how_to_install_them(folder: Path) -> None:
    code = (
        "import sys; sys.modules['jiwer'] = None; sys.argv = ['scrivano', 'evaluate', sys.argv[1]];"
        "from scrivano.cli.app import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)

    assert ran.returncode == 2
    assert "pip install 'scrivano[evaluate]'" in ran.stderr


@pytest.mark.skipif(CHROMIUM is None or CHROMEDRIVER is None, reason="needs Chromium and chromedriver")
def test_a_word_of_the_page_can_be_heard(
    reports: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, _ = reports
    with browser(tmp_path) as page:
        page.open((folder / "report.html").as_uri())
        assert page.run("return document.querySelectorAll('article').length") == 3
        assert "nobody" in page.run("return document.querySelector('del.hole').textContent")
        selector = 'article[data-name="it-exact-0.flac"] [data-s]'
        start = page.run("return Number(document.querySelector(arguments[0]).dataset.s)", selector)

        page.click(selector)

        played = "return document.querySelector('article[data-name=\"it-exact-0.flac\"] audio').currentTime"
        until(lambda: page.run(played) > max(0, start - 0.25) + 0.1)
        until(lambda: page.run(played.replace("currentTime", "paused")))  # after the word
        choose = "const only = document.getElementById('only'); only.value = 'holes';"
        page.run(f"{choose} only.dispatchEvent(new Event('change'))")
        visible = "Array.from(document.querySelectorAll('article:not(.hidden)'))"
        shown = page.run(f"return {visible}.map((article) => article.dataset.name)")
        assert shown == ["en-exact-0.flac"]
        assert not re.search(r"https?://", (folder / "report.html").read_text())
