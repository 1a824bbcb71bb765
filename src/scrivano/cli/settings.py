"""`scrivano settings`: list them."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding

from scrivano.cli.console import fail

__all__ = ["settings"]


def settings(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these, in capitals or not.", show_default=False),
    ] = None,
) -> None:
    """List all settings of the server: their names, values, defaults and meanings.

    They are environment variables; in the file of --config their names are in small letters.
    """
    from scrivano.domain.wording import did_you_mean
    from scrivano.server.settings import Settings, allowed, variable

    fields = {variable(name): field for name, field in Settings.model_fields.items()}
    chosen = [name.upper() for name in names or fields]
    console = Console(highlight=False, markup=False)
    for name in chosen:
        field = fields.get(name) or Settings.model_fields.get(name.lower())
        if field is None:
            fail(f"there is no setting {name}{did_you_mean(name, fields)}")
        default = "unset" if field.default_factory or field.default is None else _text(field.default)
        console.print(f"{name} ({allowed(field)}; default: {default})", style="bold", soft_wrap=True)
        console.print(Padding(_plain(field.description or ""), (0, 0, 0, 4)))


def _plain(description: str) -> str:
    """Without Markdown, and without references to pages, which a terminal has not."""
    return re.sub(r" ?See \[[^]]+\]\([^)]+\)\.", "", description).replace("`", "")


def _text(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else f"{default}"
