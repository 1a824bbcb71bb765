"""`scrivano doctor`: check this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from scrivano.cli.console import ExitCode, fail, stderr_console
from scrivano.domain.errors import ScrivanoError

__all__ = ["doctor"]


def doctor(
    model: Annotated[
        str, typer.Option(help="For the test transcription, or for --bench: a model, or its folder.")
    ] = "nano",
    bench: Annotated[bool, typer.Option("--bench", help="Measure the speed of the model on this machine.")] = False,
) -> None:
    """Check this machine, and transcribe a short recording as a test. The exit code is 1 if something is wrong."""
    from scrivano.cli.checks import run_checks

    if bench:
        _bench(model)
        return
    passed = run_checks(Console(highlight=False, soft_wrap=True), model)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.FAILED)


def _bench(model: str) -> None:
    from scrivano.cli.bench import bench, print_measured

    try:
        measured = bench(model, stderr_console())
    except ScrivanoError as error:
        fail(str(error), ExitCode.FAILED)
    print_measured(Console(highlight=False, soft_wrap=True), measured)
