"""`scrivano keys`: make, list and revoke the API keys of a server, in the file that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scrivano.auth.keys import Key, Limits, Scope, add_key, read_keys, remove_key
from scrivano.domain.errors import StartError

__all__ = ["keys"]

keys = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)

KeysFile = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="API_KEYS_FILE",
        help="The server's API_KEYS_FILE.",
        show_default=False,
        callback=lambda path: path.expanduser(),  # as the server does
    ),
]

# The exit code for what cannot be done as it was asked for.
WRONG = 2

_NAMES = {
    "requests_per_minute": "requests a minute",
    "jobs": "jobs at once",
    "audio_hours_per_day": "hours of audio a day",
    "streams": "streams",
}


@keys.command()
def create(
    file: KeysFile,
    name: Annotated[str, typer.Option(help="Whose it is, or what for.")],
    scopes: Annotated[str, typer.Option(help="Of submit, read and admin, with commas between.")] = "submit,read",
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Limit.  [default: none]")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Limit of jobs that have not ended.")] = None,
    audio_hours_per_day: Annotated[float | None, typer.Option(min=0.001, help="Limit, over the last 24 hours.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="Limit of open event streams.")] = None,
) -> None:
    """Make a key, and print it: nobody can show it again. A running server takes it within a second."""
    limits = Limits(
        requests_per_minute=requests_per_minute, jobs=jobs, audio_hours_per_day=audio_hours_per_day, streams=streams
    )
    with _complaints():
        key, secret = add_key(file, _name(name), _scopes(scopes), limits, datetime.now(UTC))
    Console(stderr=True, highlight=False).print(
        f"key {key.id} ({key.name}) may {_spoken(key)}; this is the only time that it is shown:",
        markup=False,
        soft_wrap=True,
    )
    print(secret)


@keys.command(name="list")
def list_keys(file: KeysFile) -> None:
    """Show the keys, without what proves them."""
    with _complaints():
        found = read_keys(file)
    table = Table("id", "name", "scopes", "made", "limits", box=None, pad_edge=False)
    for key in found:
        table.add_row(key.id, key.name, _spoken(key), f"{key.created_at:%Y-%m-%d}", _limits(key.limits))
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


@keys.command()
def revoke(file: KeysFile, key: Annotated[str, typer.Argument(help="Its name or id.")]) -> None:
    """Take a key back; a running server refuses it within a second. Its jobs stay, for admins to see."""
    with _complaints():
        gone = remove_key(file, key)
    print(f"key {gone.id} ({gone.name}) is revoked")


def _name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text.strip()) <= 100:
        raise StartError("a name has 1 to 100 characters, and no line breaks")
    return text.strip()


def _scopes(text: str) -> list[Scope]:
    names = [name.strip() for name in text.split(",")]
    if not all(name in list(Scope) for name in names):
        raise StartError(f"--scopes must be some of {', '.join(Scope)}, with commas between")
    return [Scope(name) for name in names]


def _spoken(key: Key) -> str:
    return ",".join(scope for scope in Scope if scope in key.scopes)


def _limits(limits: Limits) -> str:
    return ", ".join(f"{value:g} {_NAMES[name]}" for name, value in asdict(limits).items() if value is not None)


@contextmanager
def _complaints() -> Iterator[None]:
    try:
        yield
    except StartError as error:
        Console(stderr=True, highlight=False).print(
            f"scrivano: {error}", style="bold red", soft_wrap=True, markup=False
        )
        raise typer.Exit(WRONG) from error
