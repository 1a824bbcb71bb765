"""`scrivano demo`: transcribe the bundled recording."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib.resources import as_file, files

import typer

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.domain.errors import StartError

__all__ = ["demo"]

NEXT = """
It works. The bundled model is a toy; next, use a real one on a recording of yours:

  scrivano transcribe RECORDING   downloads a model at first use (`scrivano models` lists them)
  scrivano serve                  runs the server; open http://127.0.0.1:8080 in a browser
  scrivano doctor                 checks this machine"""

WAITING = """
This transcript is on the page: open {url} in a browser, and drop a recording of yours. Ctrl-C stops the server."""


def demo() -> None:
    """Start a server with the bundled model, and transcribe the bundled recording.

    On a terminal the server then waits for Ctrl-C, so that its page can be tried; otherwise it is stopped.
    """
    from scrivano.cli.temporary_server import temporary_server
    from scrivano.cli.transcription import TranscribeOptions, transcribe_all

    stderr = stderr_console()
    try:
        with as_file(files("scrivano") / "nano" / "recording.flac") as recording, temporary_server("nano") as url:
            stderr.print(f"page: {url} (a server with the bundled nano model)", soft_wrap=True)
            failed = transcribe_all(url, [recording], TranscribeOptions(format="timed"), stderr)
            if not failed and sys.stdin.isatty() and sys.stdout.isatty():
                stderr.print(WAITING.format(url=url), soft_wrap=True, markup=False)
                with suppress(KeyboardInterrupt):
                    threading.Event().wait()
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    if not failed:
        stderr.print(NEXT, soft_wrap=True, markup=False)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)
