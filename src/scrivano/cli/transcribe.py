"""`scrivano transcribe`: its options, its files and its server."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.cli.job_options import (
    ApiKey,
    Channels,
    Format,
    Language,
    Languages,
    Model,
    Prompt,
    Server,
    SubtitleProfile,
    Task,
    TaskOption,
    listed,
)
from scrivano.domain.errors import StartError
from scrivano.domain.file_endings import is_recording_name

__all__ = ["transcribe"]


def transcribe(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Recordings, or folders with recordings (not their subfolders); - for standard input.",
        ),
    ],
    language: Language = None,
    languages: Languages = None,
    multilingual: Annotated[
        bool, typer.Option("--multilingual", help="The recording has more than one language.")
    ] = False,
    task: TaskOption = Task.TRANSCRIBE,
    format: Annotated[Format, typer.Option(help="Format of the transcript.")] = Format.TXT,
    prompt: Prompt = None,
    hotwords: Annotated[str | None, typer.Option(help="Words to expect that the model would not.")] = None,
    speakers: Annotated[bool, typer.Option("--speakers", help="Tell the speakers apart.")] = False,
    num_speakers: Annotated[
        int | None, typer.Option(min=1, max=50, help="How many speakers there are; implies --speakers.")
    ] = None,
    min_speakers: Annotated[
        int | None, typer.Option(min=1, max=50, help="How many there are at least; implies --speakers.")
    ] = None,
    max_speakers: Annotated[
        int | None, typer.Option(min=1, max=50, help="How many there are at most; implies --speakers.")
    ] = None,
    voices: Annotated[
        bool, typer.Option("--voices", help="Name speakers who sound like a voice that the server knows.")
    ] = False,
    channels: Annotated[
        Channels | None,
        typer.Option(help="split: each channel is a speaker. mix: none is. auto: those of a call, with --speakers."),
    ] = None,
    channel_names: Annotated[
        str | None, typer.Option(help="Who speaks on each channel, separated by commas: agent,customer.")
    ] = None,
    profile: SubtitleProfile = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Write one file for each recording there, instead of to standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace transcripts that are in --output-dir.")] = False,
    server: Server = None,
    model: Model = None,
    api_key: ApiKey = None,
) -> None:
    """Transcribe recordings with a running server, or with one that is started for this command.

    Exit codes: 0 all done, 1 a recording failed, 2 wrong usage, 3 no server.
    """
    from scrivano.cli.chosen_server import chosen_server
    from scrivano.cli.temporary_server import model_on_disk
    from scrivano.cli.transcription import TranscribeOptions, transcribe_all

    files = _expanded(files)
    if output_dir is not None:
        _check_outputs(files, output_dir, format, force=force)
    options = TranscribeOptions(
        language=language,
        languages=listed(languages),
        multilingual=multilingual or None,
        task=task,
        format=format,
        model=model if model_on_disk(model) is None else None,
        output_dir=output_dir,
        prompt=prompt,
        hotwords=hotwords,
        speakers=speakers or None,
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        voices=voices or None,
        channels=channels,
        channel_names=listed(channel_names),
        profile=profile,
    )
    try:
        with _recordings(files) as recordings, chosen_server(server, model, named=True, api_key=api_key) as url:
            failed = transcribe_all(url, recordings, options, stderr_console(), api_key=api_key)
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _expanded(names: Sequence[str]) -> list[str]:
    """The files, with the recordings of a folder in its place, by name. Subfolders are not searched."""
    return [file for name in names for file in (_recordings_in(name) if Path(name).is_dir() else [name])]


def _recordings_in(folder: str) -> list[str]:
    try:
        paths = sorted(Path(folder).iterdir())
    except OSError as error:
        fail(f"cannot read the folder {folder} ({error.strerror})")
    found = [str(path) for path in paths if is_recording_name(path.name) and path.is_file()]
    if not found:
        fail(f"no recordings in the folder {folder}: name the files themselves if their names have unusual endings")
    return found


def _check_outputs(names: Sequence[str], folder: Path, format: str, *, force: bool) -> None:
    """Fail now, not after hours of work, if the folder is not writable, two transcripts would have the same name, or
    one would replace a file."""
    from scrivano.cli.transcription import transcript_path

    stems = Counter(Path(name).stem for name in names)
    duplicates = sorted(stem for stem, count in stems.items() if count > 1)
    if duplicates:
        fail(f"several transcripts would have the same name in {folder}: {', '.join(duplicates)}; use two calls")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot write to {folder} ({error.strerror}): choose another --output-dir")
    if not os.access(folder, os.W_OK | os.X_OK):
        fail(f"cannot write to {folder}: choose another --output-dir")
    present = [path.name for name in names if (path := transcript_path(folder, Path(name), format)).exists()]
    if present and not force:
        fail(f"{', '.join(present)} in {folder} would be replaced: use --force, or another --output-dir")


@contextmanager
def _recordings(names: Sequence[str]) -> Iterator[list[Path]]:
    """The files to send. Standard input is copied to a file, because a submission may have to be sent again."""
    missing = [name for name in names if name != "-" and not Path(name).is_file()]
    if missing:
        fail(f"no such file: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="scrivano-stdin-") as folder:
        stdin = Path(folder) / "stdin"
        if "-" in names:
            with stdin.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        yield [stdin if name == "-" else Path(name) for name in names]
