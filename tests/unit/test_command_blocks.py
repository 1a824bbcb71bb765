"""The commands in the documentation exist, with the options that they are shown with.

Those that can be run here are run by e2e/test_documented_commands.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from scrivano.cli.app import command_line

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


COMMAND = re.compile(r"(?:\$ )?(?:sudo )?(?:[A-Z_]+=\S+ )*(?:\S*/)?scrivano (.+)")


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                if found := COMMAND.match(line.partition(" #")[0].strip()):
                    yield page.name, found[1]


@pytest.mark.parametrize(("page", "arguments"), list(commands()))
def test_a_command_in_the_documentation_can_be_parsed(
    monkeypatch: pytest.MonkeyPatch, page: str, arguments: str
) -> None:
    monkeypatch.setenv("API_KEYS_FILE", "/etc/scrivano/keys.json")  # The blocks about keys set it.
    command = typer.main.get_command(command_line())
    words = shlex.split(re.split(r" [|>&]", arguments)[0])
    if words[0].startswith("-"):
        return
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"{page}: scrivano {arguments}"
        command = command.commands[words.pop(0)]
    command.make_context("scrivano", [word for word in words if word != "…"])


def test_commands_are_found() -> None:
    assert len(list(commands())) > 20
