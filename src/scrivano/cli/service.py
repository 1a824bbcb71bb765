"""`scrivano service`: keep the server running for this user, with systemd or launchd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Protocol

import typer

from scrivano.cli.console import ExitCode, fail
from scrivano.cli.service_files import LABEL, UNIT, launch_agent, systemd_unit

__all__ = ["service"]

service = typer.Typer(
    name="service", help="Keep the server running for this user (systemd or launchd).", no_args_is_help=True
)

ServeOptions = Annotated[
    list[str] | None, typer.Argument(metavar="[-- SERVE OPTIONS]", help="Options of `scrivano serve`, after --.")
]


@service.command()
def install(
    options: ServeOptions = None,
    print_only: Annotated[bool, typer.Option("--print", help="Show the file, and change nothing.")] = False,
) -> None:
    """Start the server now, and whenever this user logs in. Replaces an earlier installation."""
    command = [sys.executable, "-m", "scrivano", "serve", *(options or [])]
    manager = _manager()
    content = manager.content(command)
    if print_only:
        print(content, end="")
        return
    manager.file.parent.mkdir(parents=True, exist_ok=True)
    manager.file.write_text(content, encoding="utf-8")
    manager.start()
    print(f"installed {manager.file}, and started the server")
    print(manager.hint())


@service.command()
def status() -> None:
    """Show whether the service is installed and running. Exit code 1: it is not running."""
    manager = _manager()
    if not manager.file.exists():
        print("not installed")
        raise typer.Exit(ExitCode.FAILED)
    running = manager.running()
    print(f"{'running' if running else 'installed, but not running'} ({manager.file})")
    raise typer.Exit(ExitCode.OK if running else ExitCode.FAILED)


@service.command()
def uninstall() -> None:
    """Stop the server, and start it no more. Its data stay."""
    manager = _manager()
    if not manager.file.exists():
        print("not installed")
        return
    manager.stop()
    manager.file.unlink()
    manager.forget()
    print(f"removed {manager.file}")


class _Manager(Protocol):
    """What keeps programs running on this system."""

    file: Path

    def content(self, command: list[str]) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def forget(self) -> None: ...
    def running(self) -> bool: ...
    def hint(self) -> str: ...


class _Systemd:
    def __init__(self) -> None:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.file = config / "systemd" / "user" / UNIT

    def content(self, command: list[str]) -> str:
        return systemd_unit(command)

    def start(self) -> None:
        self.forget()
        _run("systemctl", "--user", "enable", UNIT)
        _run("systemctl", "--user", "restart", UNIT)

    def stop(self) -> None:
        _run("systemctl", "--user", "disable", "--now", UNIT)

    def forget(self) -> None:
        _run("systemctl", "--user", "daemon-reload")

    def running(self) -> bool:
        return _succeeds("systemctl", "--user", "--quiet", "is-active", UNIT)

    def hint(self) -> str:
        return (
            "log: journalctl --user --unit scrivano --follow\n"
            "to start it without a login, at boot: loginctl enable-linger"
        )


class _Launchd:
    def __init__(self) -> None:
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._log = Path.home() / "Library" / "Logs" / "scrivano.log"
        self._domain = f"gui/{os.getuid()}"

    def content(self, command: list[str]) -> str:
        return launch_agent(command, self._log).decode()

    def start(self) -> None:
        _succeeds("launchctl", "bootout", f"{self._domain}/{LABEL}")  # an earlier installation
        _run("launchctl", "bootstrap", self._domain, str(self.file))

    def stop(self) -> None:
        _succeeds("launchctl", "bootout", f"{self._domain}/{LABEL}")  # It may be stopped already.

    def forget(self) -> None:
        pass

    def running(self) -> bool:
        return _succeeds("launchctl", "print", f"{self._domain}/{LABEL}")

    def hint(self) -> str:
        return f"log: {self._log}"


def _manager() -> _Manager:
    if sys.platform == "darwin":
        return _Launchd()
    if shutil.which("systemctl") is None:
        fail("this system has neither systemd nor launchd: docs/install.md has other ways to keep the server running")
    return _Systemd()


def _run(*command: str) -> None:
    """Exits with the reason if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        fail(
            f"{' '.join(command)} failed ({reason}): is this a login session of the user? `su` and `sudo` make none;"
            " use a system unit there (docs/install.md)",
            ExitCode.FAILED,
        )


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
