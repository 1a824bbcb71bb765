"""`scrivano demo`: transcribe the bundled recording."""

from __future__ import annotations

from importlib.resources import as_file, files

import typer

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.domain.errors import StartError

__all__ = ["demo"]

NEXT = """
It works. The bundled model is a toy; next, use a real one on a recording of yours:

  scrivano transcribe RECORDING   downloads a model at first use (`scrivano models` lists them)
  scrivano serve                  runs the server; try it at http://127.0.0.1:8080/docs
  scrivano doctor                 checks this machine"""


def demo() -> None:
    """Start a server with the bundled model, transcribe the bundled recording, and stop the server."""
    from scrivano.cli.temporary_server import temporary_server
    from scrivano.cli.transcription import TranscribeOptions, transcribe_all

    stderr = stderr_console()
    try:
        with as_file(files("scrivano") / "nano" / "recording.flac") as recording, temporary_server("nano") as url:
            stderr.print(f"server: {url}, with the bundled nano model", soft_wrap=True)
            failed = transcribe_all(url, [recording], TranscribeOptions(format="timed"), stderr)
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    if not failed:
        stderr.print(NEXT, soft_wrap=True, markup=False)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)
