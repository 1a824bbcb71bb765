"""`scrivano watch`: transcribe the recordings of a folder as they arrive."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.cli.job_options import (
    ApiKey,
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

if TYPE_CHECKING:
    from scrivano.watch.watcher import Watcher, WatchOptions

__all__ = ["watch", "watch_once"]

# How long `--once` waits for a server that does not respond: longer than it takes to start again with a large
# database, and short enough that the next run of cron finds the folder free.
GIVE_UP_S = 300.0


def watch(
    folder: Annotated[Path, typer.Argument(help="The folder; its subfolders are watched, too.")],
    format: Annotated[
        list[Format] | None, typer.Option(help="Format of a transcript. Repeatable.  [default: srt, txt, json]")
    ] = None,
    language: Language = None,
    languages: Languages = None,
    task: TaskOption = Task.TRANSCRIBE,
    prompt: Prompt = None,
    profile: SubtitleProfile = None,
    once: Annotated[bool, typer.Option("--once", help="Exit when all recordings have been dealt with.")] = False,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the folder.")] = 5.0,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds that a file must stay unchanged.")] = 10.0,
    server: Server = None,
    model: Model = None,
    api_key: ApiKey = None,
) -> None:
    """Transcribe the recordings of a folder as they arrive, and write the transcripts beside them.

    A recording that fails gets a file NAME.error with the reason; delete it to try again. Restarts lose nothing.
    Exit codes: 0 stopped, or all done; 1 with --once, if a recording failed or the folder cannot be used; 2 wrong
    usage, or another command watches the folder; 3 no server, with --once also if it does not respond for 5 minutes.
    """
    from scrivano.cli.chosen_server import chosen_server
    from scrivano.cli.temporary_server import model_on_disk
    from scrivano.watch.lock import FolderInUse, folder_lock
    from scrivano.watch.watcher import WatchOptions

    if not folder.is_dir():
        fail(f"{folder} is not a folder")
    request: dict[str, object] = {
        "language": language,
        "languages": listed(languages),
        "task": task.value,
        "prompt": prompt,
    }
    if model is not None and model_on_disk(model) is None:
        request["model"] = model
    options = WatchOptions(
        formats=tuple(one.value for one in format or (Format.SRT, Format.TXT, Format.JSON)),
        settle_s=settle,
        profile=None if profile is None else profile.value,
        key=_key(request),
    )
    _check_formats(options.formats)
    try:
        with folder_lock(folder), chosen_server(server, model, named=True, api_key=api_key) as url:
            code = _run(url, folder, options, request, api_key=api_key, poll_s=poll, once=once)
    except FolderInUse:
        fail(f"another `scrivano watch` is at work in {folder}")
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    raise typer.Exit(code)


def _run(
    url: str,
    folder: Path,
    options: WatchOptions,
    request: Mapping[str, object],
    *,
    api_key: str | None,
    poll_s: float,
    once: bool,
) -> ExitCode:
    """Watch until a signal comes, or with `once` until nothing is left."""
    from scrivano.cli.remote_transcriber import RemoteTranscriber
    from scrivano.client import Client
    from scrivano.watch.watcher import Watcher

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    console = stderr_console()

    def report(name: str, text: str) -> None:
        console.print(f"{name or folder}: {text}", markup=False, soft_wrap=True)

    with Client(url, api_key=api_key) as client:
        watcher = Watcher(folder, RemoteTranscriber(client, request), options, report, stopping=stop.is_set)
        report("", f"watching, with the server at {url}")
        code = watch_once(watcher, stop, poll_s) if once else _watch(watcher, stop, poll_s)
        if code is ExitCode.NO_SERVER:
            report("", f"the server has not responded for {GIVE_UP_S / 60:g} minutes; the next run goes on")
    return code


def _watch(watcher: Watcher, stop: threading.Event, poll_s: float) -> ExitCode:
    while not stop.is_set():
        watcher.poll()
        stop.wait(poll_s)
    return ExitCode.OK


def watch_once(watcher: Watcher, stop: threading.Event, poll_s: float, give_up_s: float = GIVE_UP_S) -> ExitCode:
    """Watch until nothing is left, the folder cannot be used, or the server has not responded for `give_up_s`."""
    silent_since_s = None
    while not stop.is_set():
        if watcher.poll():
            break
        if watcher.no_folder:
            return ExitCode.FAILED
        now_s = time.monotonic()
        silent_since_s = silent_since_s or now_s if watcher.no_server else None
        if silent_since_s is not None and now_s - silent_since_s >= give_up_s:
            return ExitCode.NO_SERVER
        stop.wait(poll_s)
    return ExitCode.FAILED if watcher.failed else ExitCode.OK


def _key(request: Mapping[str, object]) -> str:
    """A short name for the options of the jobs."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(dict(request), sort_keys=True).encode()).hexdigest()[:12]


def _check_formats(formats: Sequence[str]) -> None:
    """Two formats must not be written to the same file."""
    from scrivano.text.formats import FORMATS

    extensions = [FORMATS[format].extension for format in dict.fromkeys(formats)]
    if len(set(extensions)) < len(extensions):
        fail("json and verbose_json have the same ending: choose one of them")
