"""The options of `scrivano serve` that a service is installed with: checked now, not when it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import typer

from scrivano.cli.serve import serve, serve_flags
from scrivano.domain.errors import StartError

if TYPE_CHECKING:
    from scrivano.server.settings import Settings

__all__ = ["command_options", "environment_of", "serve_arguments", "settings_of"]


def serve_arguments(options: Sequence[str]) -> dict[str, Any]:
    """The values of the options, by their names in Python, with paths made absolute: a service starts in another
    folder. Exits with a message of the command line if there is no such option."""
    app = typer.Typer(add_completion=False)
    app.command()(serve)
    given = typer.main.get_command(app).make_context("scrivano serve", [*options]).params
    if given.pop("while_stdin_is_open", False):
        raise typer.BadParameter("--while-stdin-is-open is for servers that a command starts, and not for a service")
    paths = {name for name, hint in get_type_hints(serve).items() if Path in get_args(hint)}
    return {name: _absolute(value) if name in paths and value else value for name, value in given.items()}


def command_options(values: Mapping[str, Any]) -> list[str]:
    """As words of a command line."""
    words = []
    for name, value in values.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value not in (None, False):
            words += [
                word for one in (value if isinstance(value, list | tuple) else [value]) for word in (option, str(one))
            ]
    return words


def settings_of(values: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings that the service will have. Raises `StartError`: one of them is wrong, or no such model is known."""
    from scrivano.domain.errors import ModelUnavailable
    from scrivano.engines.catalog import find_model
    from scrivano.engines.model_path import check_model_path
    from scrivano.server.settings import Settings

    settings = Settings.load(serve_flags(values), values.get("config"), environment)
    try:
        if settings.whisper_model_path is not None:
            check_model_path(settings.whisper_model_path)
        elif settings.whisper_model is not None:
            find_model(settings.whisper_model)
    except ModelUnavailable as error:
        raise StartError(str(error)) from error
    return settings


def environment_of(file: Path) -> dict[str, str]:
    """The variables in a file of `NAME=value` lines, as systemd reads them; none if there is no such file."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";")))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
