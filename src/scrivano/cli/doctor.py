"""`scrivano doctor`: check this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from scrivano.cli.console import ExitCode

__all__ = ["doctor"]


def doctor(
    model: Annotated[str, typer.Option(help="The model for the test transcription.")] = "nano",
) -> None:
    """Check this machine, and transcribe a short recording as a test. The exit code is 1 if something is wrong."""
    from scrivano.cli.checks import run_checks

    passed = run_checks(Console(highlight=False, soft_wrap=True), model)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.FAILED)
