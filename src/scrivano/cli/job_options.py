"""The options of commands that are about jobs and their server, each with the same words everywhere.

The values are listed here once more, because `text.formats` is slow to import; a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = [
    "ApiKey",
    "Channels",
    "Format",
    "Language",
    "Languages",
    "Model",
    "Profile",
    "Prompt",
    "Server",
    "SubtitleProfile",
    "Task",
    "TaskOption",
    "listed",
]


class Format(StrEnum):
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    LRC = "lrc"
    RTTM = "rttm"


class Profile(StrEnum):
    NETFLIX = "netflix"
    BBC = "bbc"
    YOUTUBE = "youtube"


class Task(StrEnum):
    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Channels(StrEnum):
    AUTO = "auto"
    MIX = "mix"
    SPLIT = "split"


Language = Annotated[str | None, typer.Option(help="Code or English name.  [default: detected]")]
Languages = Annotated[str | None, typer.Option(help="Detect only these languages, for example de,en.")]
Model = Annotated[
    str | None,
    typer.Option(help="A model: its name, or its folder or file. A server is started for it if none runs."),
]
TaskOption = Annotated[Task, typer.Option(help="translate: into English.")]
Prompt = Annotated[str | None, typer.Option(help="Text before the recording: names, spelling, style.")]
SubtitleProfile = Annotated[Profile | None, typer.Option(help="Limits of subtitles.  [default: 42 characters a line]")]
Server = Annotated[str | None, typer.Option(envvar="SCRIVANO_SERVER", help="A running server: its URL, or host:port.")]
ApiKey = Annotated[str | None, typer.Option(envvar="SCRIVANO_API_KEY", help="For a server that requires API keys.")]


def listed(text: str | None) -> tuple[str, ...]:
    """The items of an option, separated by commas."""
    return tuple(text.split(",")) if text else ()
