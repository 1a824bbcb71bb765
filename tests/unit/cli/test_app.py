"""The command line as a whole: its commands, and what it costs to show its help."""

from __future__ import annotations

import subprocess
import sys

# Each takes a noticeable part of a second to import, so only commands that need one may import it.
SLOW = {"alembic", "av", "ctranslate2", "fastapi", "httpx2", "numpy", "sqlalchemy", "starlette", "uvicorn"}


def test_the_help_lists_all_commands_and_imports_nothing_slow() -> None:
    code = (
        "import sys; from scrivano.cli.app import main; sys.argv = ['scrivano', '--help']\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    for command in ("serve", "wyoming", "transcribe", "models", "doctor", "demo", "keys"):
        assert f" {command} " in ran.stdout
    modules = set(ran.stderr.split())
    assert "typer" in modules
    assert not SLOW & modules
