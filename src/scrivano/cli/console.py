"""Error messages and exit codes of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table

from scrivano.domain.errors import StartError

__all__ = ["ExitCode", "exit_on_start_error", "fail", "print_table", "stderr_console"]


# Columns of a table that is not written to a terminal.
WIDEST = 1000


class ExitCode(IntEnum):
    """`FAILED`: a recording or a check failed. `USAGE`: wrong arguments or settings. `NO_SERVER`: none available."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SERVER = 3


def stderr_console() -> Console:
    return Console(stderr=True, highlight=False)


def print_table(table: Table) -> None:
    """Nothing is cut: a narrow terminal breaks the lines of a cell; elsewhere each row is one line, however long."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDEST)
    for column in table.columns:
        column.overflow = "fold"
    console.print(table)


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
