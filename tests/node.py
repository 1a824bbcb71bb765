"""Node and npm, for the tests of the TypeScript client and of the page."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["CLIENT", "ROOT", "WEB", "build_client", "install", "node_is_missing", "npm", "run"]

ROOT = Path(__file__).parents[1]
CLIENT, WEB = ROOT / "clients" / "typescript", ROOT / "web"

# Vite and Vitest need it; the client itself needs 20.0.
OLDEST = (20, 19)

ENV = {**os.environ, "PYTHON": sys.executable, "npm_config_update_notifier": "false", "NO_COLOR": "1"}


def node_is_missing() -> str | None:
    """Why the tests cannot run; None if they can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "no Node with npm here"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major, minor, *_ = version.removeprefix("v").split(".")
    return None if (int(major), int(minor)) >= OLDEST else f"Node {version} is too old; 20.19 is needed"


def run(*command: str, cwd: Path = CLIENT, timeout_s: float = 300, **env: str) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENV | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


def npm(*arguments: str, cwd: Path = CLIENT, timeout_s: float = 300) -> str:
    return run("npm", *arguments, cwd=cwd, timeout_s=timeout_s)


def install(folder: Path = CLIENT) -> None:
    """The packages of the lock file, unless they are installed. npm itself retries what the network loses.

    Tests of several processes need them, and npm fails if it meets itself in a folder.
    """
    installed, lock = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            npm("ci", "--no-progress", "--fetch-retries=5", cwd=folder, timeout_s=900)


def build_client() -> None:
    """The client with its packages, its types from OpenAPI, and its built files."""
    install()
    with (CLIENT / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        npm("run", "generate")
        npm("run", "build")
