"""`scrivano keys`: create, list and revoke API keys in the file that the server reads."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from scrivano.auth.keys import Key, Limits, Scope, add_key, read_keys, remove_key
from scrivano.cli.console import exit_on_start_error, print_table, stderr_console
from scrivano.domain.errors import StartError

__all__ = ["keys"]

keys = typer.Typer(name="keys", help="Create, list and revoke API keys.", no_args_is_help=True)


def _expanded(path: Path) -> Path:
    """The shell does not expand `~` in API_KEYS_FILE."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"no home folder is known for {path}: give the whole path, or set HOME") from error


KeysFile = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="API_KEYS_FILE",
        help="The server's API_KEYS_FILE.",
        show_default=False,
        callback=_expanded,
    ),
]

_LIMIT_NAMES = {
    "requests_per_minute": "requests a minute",
    "jobs": "jobs at once",
    "audio_hours_per_day": "hours of audio a day",
    "streams": "streams",
}


@keys.command()
def create(
    file: KeysFile,
    name: Annotated[str, typer.Option(help="Name of its owner or its purpose.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: submit, read, admin.")] = "submit,read",
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Limit of requests per minute.  [default: none]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Limit of unfinished jobs.  [default: none]")] = None,
    audio_hours_per_day: Annotated[
        float | None, typer.Option(min=0.001, help="Limit of audio in 24 hours.  [default: none]")
    ] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="Limit of open event streams.  [default: none]")] = None,
) -> None:
    """Create an API key. It is printed once and cannot be shown again. A running server accepts it within a second."""
    limits = Limits(
        requests_per_minute=requests_per_minute, jobs=jobs, audio_hours_per_day=audio_hours_per_day, streams=streams
    )
    with exit_on_start_error():
        key, secret = add_key(file, _name(name), _scopes(scopes), limits, datetime.now(UTC))
    stderr_console().print(
        f"Created key {key.id} ({key.name}) with scopes {_scope_names(key)}. It cannot be shown again:",
        markup=False,
        soft_wrap=True,
    )
    print(secret)


@keys.command(name="list")
def list_keys(file: KeysFile) -> None:
    """List the API keys without their secrets."""
    with exit_on_start_error():
        found = read_keys(file)
    table = Table("id", "name", "scopes", "created", "limits", box=None, pad_edge=False)
    for key in found:
        table.add_row(key.id, escape(key.name), _scope_names(key), f"{key.created_at:%Y-%m-%d}", _limits(key.limits))
    print_table(table)


@keys.command()
def revoke(file: KeysFile, key: Annotated[str, typer.Argument(help="Name or id of the key.")]) -> None:
    """Revoke an API key. A running server refuses it within a second. Its jobs remain visible to admin keys."""
    with exit_on_start_error():
        revoked = remove_key(file, key)
    print(f"key {revoked.id} ({revoked.name}) is revoked")


def _name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text.strip()) <= 100:
        raise StartError("--name must have 1 to 100 characters and no line breaks")
    return text.strip()


def _scopes(text: str) -> list[Scope]:
    names = [name.strip() for name in text.split(",")]
    if not all(name in list(Scope) for name in names):
        raise StartError(f"--scopes must be a comma-separated list of {', '.join(Scope)}")
    return [Scope(name) for name in names]


def _scope_names(key: Key) -> str:
    return ",".join(scope for scope in Scope if scope in key.scopes)


def _limits(limits: Limits) -> str:
    return ", ".join(f"{value:g} {_LIMIT_NAMES[name]}" for name, value in asdict(limits).items() if value is not None)
