"""The commands. All but `serve` work through the client, against a running server or one of their own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from scrivano import __version__
from scrivano.cli.keys import keys
from scrivano.domain.errors import StartError

app = typer.Typer(
    name="scrivano",
    help="A self-hosted speech-transcription server, and its client.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stderr = Console(stderr=True, highlight=False)

# Exit codes: some recording failed; the command or a setting is wrong; no server could be reached or started.
FAILED, USAGE, NO_SERVER = 1, 2, 3


class Format(StrEnum):
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    LRC = "lrc"


class Task(StrEnum):
    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


def main() -> None:
    app.add_typer(keys)
    app()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"scrivano {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all.  [default: 127.0.0.1]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.  [default: 8080]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where jobs and recordings are kept.")] = None,
    model: Annotated[str | None, typer.Option(help="A name of `scrivano models`, or a Hugging Face id.")] = None,
    model_path: Annotated[Path | None, typer.Option(help="A model folder, or a GGML file, on disk.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.  [default: auto]")] = None,
    api_keys_file: Annotated[
        Path | None, typer.Option(help="Requests need a key of this file; see `scrivano keys`.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with settings; flags and environment win.")] = None,
    while_stdin_is_open: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the server. Every other setting comes from the environment or --config; docs/configuration.md lists them."""
    flags = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "whisper_model": model,
        "whisper_model_path": model_path,
        "device": device,
        "api_keys_file": api_keys_file,
    }
    _run_server(flags, config, while_stdin_is_open)


@app.command()
def wyoming(
    port: Annotated[int, typer.Option(help="For Wyoming; 0: any free one.")] = 10300,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all.  [default: 127.0.0.1]")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where jobs and recordings are kept.")] = None,
    model: Annotated[str | None, typer.Option(help="A name of `scrivano models`, or a Hugging Face id.")] = None,
    model_path: Annotated[Path | None, typer.Option(help="A model folder, or a GGML file, on disk.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with settings; flags and environment win.")] = None,
) -> None:
    """Run the server with Wyoming, Home Assistant's protocol, beside HTTP. As `WYOMING_PORT` does for `serve`."""
    flags = {
        "wyoming_port": port,
        "host": host,
        "data_dir": data_dir,
        "whisper_model": model,
        "whisper_model_path": model_path,
    }
    _run_server(flags, config)


def _run_server(flags: Mapping[str, object], config: Path | None, while_stdin_is_open: bool = False) -> None:
    try:
        from scrivano.server.settings import Settings
        from scrivano.telemetry import log as logs

        settings = Settings.load({name: value for name, value in flags.items() if value is not None}, config)
        logs.configure(settings.log_level)
        if while_stdin_is_open:
            threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
        from scrivano.server.build import run

        run(settings)
    except StartError as error:
        stderr.print(f"scrivano: {error}", style="bold red", soft_wrap=True, markup=False)
        raise typer.Exit(USAGE) from error


@app.command()
def transcribe(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings; - for standard input.")],
    language: Annotated[str | None, typer.Option(help="ISO 639-1.  [default: detected]")] = None,
    languages: Annotated[str | None, typer.Option(help="Detect it among these, such as de,en.")] = None,
    multilingual: Annotated[bool, typer.Option("--multilingual", help="Several are spoken in one recording.")] = False,
    task: Annotated[Task, typer.Option(help="translate: to English.")] = Task.TRANSCRIBE,
    format: Annotated[Format, typer.Option(help="Of the transcript.")] = Format.TXT,
    output_dir: Annotated[
        Path | None, typer.Option(help="Write files of the same names there, instead of to standard output.")
    ] = None,
    server: Annotated[str | None, typer.Option(envvar="SCRIVANO_SERVER", help="URL of a running server.")] = None,
    model: Annotated[str | None, typer.Option(help="The model of a server started for this call.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="SCRIVANO_API_KEY", help="For a server that takes keys.")
    ] = None,
) -> None:
    """Transcribe recordings: by a running server, else by one that lives as long as this call.

    Exit codes: 0 all done, 1 some recording failed, 2 wrong usage, 3 no server.
    """
    from scrivano.cli.transcribe import JobRequest, transcribe_all

    if output_dir is not None:
        _check_outputs(files, output_dir)
    with _sources(files) as sources, _server(server, model) as url:
        wish = JobRequest(
            language=language,
            languages=languages.split(",") if languages else (),
            multilingual=multilingual or None,
            task=task.value,
            format=format.value,
            output_dir=output_dir,
        )
        raise typer.Exit(FAILED if transcribe_all(url, sources, wish, stderr, api_key=api_key) else 0)


@app.command()
def models() -> None:
    """List the models that WHISPER_MODEL and --model understand."""
    from scrivano.cli.doctor import list_models

    list_models(Console(highlight=False))


@app.command()
def doctor(
    model: Annotated[str | None, typer.Option(help="Also load this model for the proof.  [default: nano]")] = None,
) -> None:
    """Say what this machine has, and transcribe a short recording as a proof. Exit code 1 when something is wrong."""
    from scrivano.cli.doctor import examine

    raise typer.Exit(0 if examine(Console(highlight=False, soft_wrap=True), model or "nano") else FAILED)


@app.command()
def demo() -> None:
    """Start a server with the bundled model, transcribe the bundled recording through it, and stop it."""
    from importlib.resources import as_file, files

    from scrivano.cli.transcribe import JobRequest, transcribe_all

    with as_file(files("scrivano") / "nano" / "recording.flac") as recording, _server(None, "nano", own=True) as url:
        stderr.print(f"server: {url}, with the bundled nano model", soft_wrap=True)
        wish = JobRequest(language=None, task="transcribe", format="timed", output_dir=None)
        raise typer.Exit(FAILED if transcribe_all(url, [recording], wish, stderr) else 0)


def _stop_at_end_of_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _check_outputs(names: Sequence[str], folder: Path) -> None:
    """Before hours of work: the folder can be written to, and no transcript would replace another one."""
    stems = Counter(Path(name).stem for name in names)
    twice = sorted(stem for stem, count in stems.items() if count > 1)
    if twice:
        _refuse(f"several files would be written under the same name in {folder}: {', '.join(twice)}; use two calls")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(f"cannot write to {folder} ({error.strerror}): choose another --output-dir")
    if not os.access(folder, os.W_OK | os.X_OK):
        _refuse(f"cannot write to {folder}: choose another --output-dir")


def _refuse(message: str) -> NoReturn:
    stderr.print(f"scrivano: {message}", style="bold red", soft_wrap=True, markup=False)
    raise typer.Exit(USAGE)


@contextmanager
def _sources(names: Sequence[str]) -> Iterator[list[Path]]:
    """The files to send; standard input is spooled to one, since a submission may have to be sent again."""
    missing = [name for name in names if name != "-" and not Path(name).is_file()]
    if missing:
        _refuse(f"no such file: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="scrivano-stdin-") as folder:
        spool = Path(folder) / "stdin"
        if "-" in names:
            with spool.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        yield [spool if name == "-" else Path(name) for name in names]


@contextmanager
def _server(url: str | None, model: str | None, *, own: bool = False) -> Iterator[str]:
    """The given server, else one that runs on this machine and has the model, else one for this call."""
    from scrivano.cli.temporary_server import own_server
    from scrivano.cli.transcribe import find_server

    try:
        found = url if own else find_server(url, model)
        if found is not None:
            yield found
            return
        with own_server(model) as started:
            yield started
    except StartError as error:
        stderr.print(str(error), style="bold red", soft_wrap=True, markup=False)
        raise typer.Exit(NO_SERVER) from error
