"""Which systems are evaluated, and how."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import httpx2
import pytest
from evaluation_support import recording, scored, spoken
from rich.console import Console

from scrivano.cli.evaluated_systems import System, parse_settings, systems_of
from scrivano.cli.evaluation import Evaluation, evaluate_all, load_model, load_results
from scrivano.cli.evaluation_outputs import Outputs
from scrivano.cli.evaluation_tables import print_tables
from scrivano.client import Client, StatusError
from scrivano.evaluation.normalizers import load_normalizers
from scrivano.evaluation.page import percent
from scrivano.evaluation.results import Result
from scrivano.evaluation.scoring import Transcribed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", {}),
        ("", {}),
        ("beam_size=1", {"beam_size": "1"}),
        ("beam_size=1,vad=false", {"beam_size": "1", "vad": "false"}),
        ("prompt=Ann, Bob, hotwords=x", {"prompt": "Ann, Bob", "hotwords": "x"}),
        ("LATENCY=fast", {"LATENCY": "fast"}),
    ],
)
def test_settings_are_names_and_values(text: str, expected: dict[str, str]) -> None:
    assert parse_settings(text) == expected


@pytest.mark.parametrize("text", ["beam_size", "=1", "a b=1", "beam_size 1"])
def test_other_settings_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as beam_size=1"):
        parse_settings(text)


def test_every_combination_is_a_system() -> None:
    systems = systems_of(["base", "small"], [], ["default", "beam_size=1,LATENCY=fast"], with_results=False)

    assert systems == [
        System(model="base"),
        System(model="base", options={"beam_size": "1"}, env={"LATENCY": "fast"}),
        System(model="small"),
        System(model="small", options={"beam_size": "1"}, env={"LATENCY": "fast"}),
    ]


def test_without_options_the_usual_server_is_evaluated_unless_results_are_given() -> None:
    assert systems_of([], [], [], with_results=False) == [System()]
    assert systems_of([], [], [], with_results=True) == []
    assert systems_of([], ["host"], [], with_results=True) == [System(server="host")]


@pytest.mark.parametrize(
    ("servers", "text", "message"),
    [
        (["host"], "LATENCY=fast", "leave out --server"),
        ([], "model=small", "use --model"),
        ([], "queue=false", "queue"),
        (["host"], "beamsize=1", "no field of POST /jobs named beamsize; did you mean beam_size"),
        ([], "LATENCIES=fast", "no setting named LATENCIES; did you mean LATENCY"),
    ],
)
def test_settings_that_cannot_work_are_refused(servers: list[str], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        systems_of([], servers, [text], with_results=False)


@pytest.mark.parametrize(("width", "is_terminal"), [(80, True), (40, True), (80, False)])
def test_figures_are_readable_whole_on_a_narrow_terminal_and_in_a_log(width: int, is_terminal: bool) -> None:
    systems = [("large-v3-turbo, beam_size=1, prompt=[b]", "a b c d e"), ("base", "x y " * 400)]
    scores = [{"a.wav": scored("a b c d f " * 90, heard)} for _, heard in systems]
    results = [Result(name=name, seconds=1.0, transcripts={}) for name, _ in systems]
    written = StringIO()

    print_tables(Console(file=written, force_terminal=is_terminal, width=width, color_system=None), results, scores, [])

    shown = written.getvalue()
    rates = {percent(one["a.wav"].rate).removesuffix(" %") for one in scores}
    heads = {"WER", "CER", "subst.", "del.", "ins.", "coverage", "holes", "RTFx"}
    assert heads | rates <= set(shown.split())
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width or (width, is_terminal) != (80, True)
    assert is_terminal or "large-v3-turbo, beam_size=1, prompt=[b]" in shown


def refusing(status: int) -> Client:
    """Of a server that refuses each request."""
    return Client(
        "http://scrivano", transport=httpx2.MockTransport(lambda _: httpx2.Response(status, json={"error": "no"}))
    )


def test_a_key_that_may_not_load_models_leaves_it_to_the_first_job() -> None:
    written = StringIO()

    load_model(refusing(403), "small", Console(file=written))

    assert "the API key may not load models" in written.getvalue()


def test_a_model_that_cannot_be_loaded_is_an_error() -> None:
    with pytest.raises(StatusError):
        load_model(refusing(404), "other", Console(file=StringIO()))


@pytest.mark.parametrize(
    ("json", "html", "message"),
    [
        (Path("folder"), None, "cannot write folder: it is a folder"),
        (None, Path("folder"), "cannot write folder: it is a folder"),
        (Path("nowhere/a.json"), None, "cannot write nowhere/a.json: there is no such folder"),
        (Path("a"), Path("folder/../a"), "a file each"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json: Path | None, html: Path | None, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=message):
        Outputs(json=json, html=html, embed_audio=False).check()


@pytest.mark.parametrize("name", ["talk.json", "talk.wav", "talk.txt", "talk.de.json"])
def test_a_report_replaces_no_recording_and_no_reference(tmp_path: Path, name: str) -> None:
    (tmp_path / "talk.wav").touch()
    (tmp_path / "talk.de.json").touch()
    talk = replace(recording([]), path=tmp_path / "talk.wav")

    with pytest.raises(ValueError, match="choose another one"):
        Outputs(json=tmp_path / name, html=None, embed_audio=False).check_against([talk])
    Outputs(json=tmp_path / "report.json", html=None, embed_audio=False).check_against([talk])


def test_results_that_are_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}: "):
        load_results(tmp_path)


def test_a_recording_that_failed_in_stored_results_counts(tmp_path: Path) -> None:
    evaluation = Evaluation(
        recordings=[recording([spoken("a b")])], normalizers=load_normalizers(), detect=False, seed=1
    )
    stored = [
        Result(name="old", seconds=1.0, transcripts={"a.wav": Transcribed(error="x"), "b.wav": Transcribed(error="y")})
    ]
    outputs = Outputs(json=None, html=None, embed_audio=False)

    assert evaluate_all(evaluation, [], stored, outputs, Console(file=StringIO())) == 1
