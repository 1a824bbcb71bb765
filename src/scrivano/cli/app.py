"""The command line: puts the commands together.

Modules of commands import only what their options need; everything else is imported when the command runs. So
`scrivano --help` is fast.
"""

from __future__ import annotations

from typing import Annotated

import typer

from scrivano import __version__
from scrivano.cli.cluster import cluster
from scrivano.cli.data import backup, migrate, migrate_store, restore
from scrivano.cli.demo import demo
from scrivano.cli.doctor import doctor
from scrivano.cli.evaluate import evaluate
from scrivano.cli.keys import keys
from scrivano.cli.models import models
from scrivano.cli.serve import dispatcher, serve, wyoming
from scrivano.cli.service import service
from scrivano.cli.settings import settings
from scrivano.cli.transcribe import transcribe
from scrivano.cli.watch import watch

__all__ = ["command_line", "main"]


def main() -> None:
    command_line()()


def command_line() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="scrivano",
        help="A self-hosted speech-transcription server, and its client.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_global_options)
    commands = (
        serve,
        dispatcher,
        wyoming,
        transcribe,
        watch,
        evaluate,
        backup,
        restore,
        migrate,
        migrate_store,
        settings,
        doctor,
        demo,
    )
    for command in commands:
        app.command()(command)
    for group in (models, keys, service, cluster):
        app.add_typer(group)
    return app


def _print_version(requested: bool) -> None:
    if requested:
        print(f"scrivano {__version__}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass
