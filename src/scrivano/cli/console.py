"""Error messages and exit codes of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import NoReturn

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from scrivano.domain.errors import StartError

__all__ = ["ExitCode", "end_as_exception", "exit_on_start_error", "fail", "print_table", "stderr_console"]


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


def print_table(table: Table, console: Console | None = None) -> None:
    """Nothing is cut. Elsewhere than on a terminal each row is one line, however long. On a terminal that is too narrow
    a table has fewer lines around its cells, and cells break; those of columns with `no_wrap` stay whole."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDEST, file=console.file)
    for column in table.columns:
        column.overflow = "fold"
        if column.no_wrap:
            column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    natural = Measurement.get(console, console.options.update_width(WIDEST), table).maximum
    if table.box is not None and natural > console.width:
        table.box, table.padding, table.show_edge = box.SIMPLE_HEAD, 0, False
    console.print(table, crop=False)


def fail(message: str, code: ExitCode = ExitCode.USAGE) -> NoReturn:
    """Print an error message and exit."""
    stderr_console().print(f"scrivano: {message}", style="bold red", soft_wrap=True, markup=False)
    raise typer.Exit(code)


def end_as_exception(number: int, frame: FrameType | None) -> NoReturn:
    """Handles a signal: the command removes what it has begun. The default handler would end it at once."""
    raise SystemExit(128 + number)


@contextmanager
def exit_on_start_error() -> Iterator[None]:
    """Print the message of a `StartError` and exit with `USAGE`."""
    try:
        yield
    except StartError as error:
        fail(str(error))
