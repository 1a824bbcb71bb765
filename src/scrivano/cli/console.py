"""Error messages and exit codes of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console

from scrivano.domain.errors import StartError

__all__ = ["ExitCode", "exit_on_start_error", "fail", "stderr_console"]


class ExitCode(IntEnum):
    """`FAILED`: a recording or a check failed. `USAGE`: wrong arguments or settings. `NO_SERVER`: none available."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SERVER = 3


def stderr_console() -> Console:
    return Console(stderr=True, highlight=False)


def fail(message: str, code: ExitCode = ExitCode.USAGE) -> NoReturn:
    """Print an error message and exit."""
    stderr_console().print(f"scrivano: {message}", style="bold red", soft_wrap=True, markup=False)
    raise typer.Exit(code)


@contextmanager
def exit_on_start_error() -> Iterator[None]:
    """Print the message of a `StartError` and exit with `USAGE`."""
    try:
        yield
    except StartError as error:
        fail(str(error))
