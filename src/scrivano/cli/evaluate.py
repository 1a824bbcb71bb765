"""`scrivano evaluate`: its options, its recordings and its systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.domain.errors import BadRequest, StartError

__all__ = ["evaluate"]


def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Recordings with what was said beside them (.json, .vtt, .srt, .txt), or folders with such files.",
        ),
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="A model: its name, or its folder or file. Repeatable: they are compared.")
    ] = None,
    server: Annotated[
        list[str] | None, typer.Option(help="A running server: its URL, or host:port. Repeatable.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Options of jobs (beam_size=1,vad=false) or, in capitals, settings of the server that is started"
            " (LATENCY=fast). `default`: none. Repeatable: they are compared.",
        ),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="Results of an earlier --json, to compare with. Repeatable.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of all recordings: a code or an English name.")] = None,
    language_in_name: Annotated[
        bool, typer.Option("--language-in-name", help="Names begin with a language's code, as in de-talk.wav.")
    ] = False,
    detect: Annotated[bool, typer.Option("--detect", help="Let the server detect languages that are known.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write all figures and transcripts to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that shows each difference with its audio.")] = None,
    embed_audio: Annotated[bool, typer.Option("--embed-audio", help="Put the recordings into the page.")] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap: the same seed gives the same figures.")] = 1,
    api_key: Annotated[
        str | None, typer.Option(envvar="SCRIVANO_API_KEY", help="For servers that require API keys.")
    ] = None,
) -> None:
    """Measure how good transcripts are on recordings of your own, and compare models, settings or servers.

    Exit codes: 0 all done, 1 a recording failed, 2 wrong usage, 3 no server.
    """
    from scrivano.cli.evaluated_systems import systems_of
    from scrivano.cli.evaluation import Evaluation, evaluate_all, load_recordings, load_results
    from scrivano.cli.evaluation_outputs import Outputs
    from scrivano.domain.languages import parse_language
    from scrivano.evaluation.normalizers import load_normalizers

    stderr = stderr_console()
    try:
        normalizers = load_normalizers()
        known = parse_language(language)
        systems = systems_of(model or [], server or [], set_ or [], with_results=bool(results))
        stored = [result for path in results or [] for result in load_results(path)]
        outputs = Outputs(json=json, html=html, embed_audio=embed_audio)
        outputs.check()
    except (BadRequest, StartError, ValueError) as error:
        fail(str(error))
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        fail(f"no such file or folder: {', '.join(missing)}")
    recordings = load_recordings(paths, known, language_in_name, stderr)
    if not recordings:
        fail("no recordings with references: put what was said beside each recording, as NAME.txt, .srt, .vtt or .json")
    try:
        outputs.check_against(recordings)
    except ValueError as error:
        fail(str(error))
    evaluation = Evaluation(recordings=recordings, normalizers=normalizers, detect=detect, seed=seed, api_key=api_key)
    try:
        failed = evaluate_all(evaluation, systems, stored, outputs, stderr)
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    except OSError as error:
        fail(str(error), ExitCode.FAILED)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)
