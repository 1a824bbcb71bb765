"""`scrivano service`: keep the server running for this user, with systemd or launchd."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from scrivano.cli.console import ExitCode, exit_on_start_error, fail
from scrivano.cli.service_files import (
    LABEL,
    UNIT,
    launch_agent,
    launchd_has_ended,
    launchd_runs,
    systemd_unit,
)
from scrivano.cli.service_options import command_options, environment_of, serve_arguments, settings_of
from scrivano.domain.addresses import authority

if TYPE_CHECKING:
    from scrivano.files.data_dir_lock import LockHolder

__all__ = ["service"]

# How long `install` waits for the server to listen, and how often it looks.
START_S, POLL_S = 30.0, 0.25

# What error messages of the commands begin with.
MESSAGE = "scrivano: "

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
    """Start the server now, and whenever this user logs in. Replaces an earlier installation.

    If the server does not start, the reason is shown, and nothing stays installed. Exit code 1: it did not start.
    """
    from scrivano.files.data_dir_lock import DataDirLock

    values = serve_arguments(options or [])
    command = [sys.executable, "-m", "scrivano", "serve", *command_options(values)]
    manager = _manager(command)
    with exit_on_start_error():
        data_dir = settings_of(values, environment_of(manager.environment)).data_dir
    content = manager.content(command)
    if print_only:
        print(content, end="")
        return
    earlier = manager.file.read_text(encoding="utf-8") if manager.file.exists() else None
    before = DataDirLock.holder(data_dir)
    manager.file.parent.mkdir(parents=True, exist_ok=True)
    manager.file.touch(mode=0o600)  # The settings in it may be secrets.
    manager.file.write_text(content, encoding="utf-8")
    try:
        manager.start()
        address = _address(manager, lambda: _announced(DataDirLock.holder(data_dir), before))
    except _ServiceError as error:
        _put_back(manager, earlier)
        fail(str(error), ExitCode.FAILED)
    print(f"installed {manager.file}; the server is {address}")
    print(manager.hint())


@service.command()
def status() -> None:
    """Show whether the service is installed and running. Exit code 1: it is not running."""
    manager = _manager([])
    if not manager.file.exists():
        print("not installed")
        raise typer.Exit(ExitCode.FAILED)
    running = manager.running()
    print(f"{'running' if running else 'installed, but not running'} ({manager.file})")
    raise typer.Exit(ExitCode.OK if running else ExitCode.FAILED)


@service.command()
def uninstall() -> None:
    """Stop the server, and do not start it again. Jobs, recordings and models are kept."""
    manager = _manager([])
    if not manager.file.exists():
        print("not installed")
        return
    reason = _removed(manager)
    print(f"removed {manager.file}")
    if reason is not None:
        fail(f"the server may still be running: {reason}", ExitCode.FAILED)


def _removed(manager: _Manager) -> str | None:
    """Stop the server and remove its file, in any case. Returns why it could not be stopped."""
    reason = None
    try:
        manager.stop()
    except _ServiceError as error:
        reason = str(error)
    manager.file.unlink(missing_ok=True)
    with suppress(_ServiceError):
        manager.forget()
    return reason


def _put_back(manager: _Manager, earlier: str | None) -> None:
    """After an installation that failed: as it was before."""
    _removed(manager)
    if earlier is not None:
        manager.file.write_text(earlier, encoding="utf-8")
        with suppress(_ServiceError):
            manager.start()


def _address(manager: _Manager, announced: Callable[[], str | None]) -> str:
    """Wait until the server listens. Raises `_ServiceError` if it has ended instead, with the last line of its log."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if manager.ended():
            raise _ServiceError(f"the server did not start: {manager.last_words() or 'its log says nothing'}")
        if (address := announced()) is not None:
            return f"at {address}"
        time.sleep(POLL_S)
    return "still starting"


def _announced(holder: LockHolder | None, before: LockHolder | None) -> str | None:
    """Where a server listens that was not there before."""
    if holder is None or holder == before or not holder.port:
        return None
    return f"http://{authority(holder.host or '', holder.port)}"


class _ServiceError(Exception):
    """The message says what went wrong and what to do."""


class _Manager(Protocol):
    """What keeps programs running on this system. `environment`: a file with settings. `ended`: since `start`. All but
    `running`, `ended` and `last_words` raise `_ServiceError`."""

    file: Path
    environment: Path

    def content(self, command: list[str]) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def forget(self) -> None: ...
    def running(self) -> bool: ...
    def ended(self) -> bool: ...
    def last_words(self) -> str: ...
    def hint(self) -> str: ...


def _config_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


class _Systemd:
    ADVICE = (
        "is this a login session of the user? `su` and `sudo` make none. For a service of the system, save what"
        f" `scrivano service install --print` shows as /etc/systemd/system/{UNIT}, with a line User=NAME in [Service]"
    )

    def __init__(self) -> None:
        config = _config_folder()
        self.file = config / "systemd" / "user" / UNIT
        self.environment = config / "scrivano" / "scrivano.env"

    def content(self, command: list[str]) -> str:
        return systemd_unit(command)

    def start(self) -> None:
        self.forget()
        _run("systemctl", "--user", "enable", UNIT, advice=self.ADVICE)
        _run("systemctl", "--user", "restart", UNIT, advice=self.ADVICE)

    def stop(self) -> None:
        _run("systemctl", "--user", "disable", "--now", UNIT, advice=self.ADVICE)

    def forget(self) -> None:
        _run("systemctl", "--user", "daemon-reload", advice=self.ADVICE)

    def running(self) -> bool:
        return _succeeds("systemctl", "--user", "--quiet", "is-active", UNIT)

    def ended(self) -> bool:
        return not self.running()

    def last_words(self) -> str:
        return _last_words(_output("journalctl", "--user", "--unit", UNIT, "--lines", "30", "--output", "cat"))

    def hint(self) -> str:
        return (
            "log: journalctl --user --unit scrivano --follow\n"
            "to start it without a login, at boot: loginctl enable-linger"
        )


class _Launchd:
    ADVICE = (
        "is this user logged in at the screen of this Mac? `ssh`, `su` and `sudo` make no session in which agents can"
        " run. For a server of the whole Mac, use a launch daemon"
    )

    def __init__(self) -> None:
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self.environment = _config_folder() / "scrivano" / "scrivano.env"
        self._log = Path.home() / "Library" / "Logs" / "scrivano.log"
        self._domain = f"gui/{os.getuid()}"

    def content(self, command: list[str]) -> str:
        return launch_agent(command, self._log, environment_of(self.environment)).decode()

    def start(self) -> None:
        _succeeds("launchctl", "bootout", f"{self._domain}/{LABEL}")  # an earlier installation
        _run("launchctl", "bootstrap", self._domain, str(self.file), advice=self.ADVICE)

    def stop(self) -> None:
        _succeeds("launchctl", "bootout", f"{self._domain}/{LABEL}")  # It may be stopped already.

    def forget(self) -> None:
        pass

    def running(self) -> bool:
        return launchd_runs(self._printed())

    def ended(self) -> bool:
        return launchd_has_ended(self._printed())

    def _printed(self) -> str:
        return _output("launchctl", "print", f"{self._domain}/{LABEL}")

    def last_words(self) -> str:
        try:
            return _last_words(self._log.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return ""

    def hint(self) -> str:
        return f"log: {self._log}\nafter a change of {self.environment}: install the service again"


def _manager(command: Sequence[str]) -> _Manager:
    """`command`: for a message."""
    if sys.platform == "darwin":
        return _Launchd()
    if shutil.which("systemctl") is None:
        fail(
            "this system has neither systemd nor launchd: let its own supervisor keep this command running:"
            f" {shlex.join(command or [sys.executable, '-m', 'scrivano', 'serve'])}"
        )
    return _Systemd()


def _run(*command: str, advice: str) -> None:
    """Raises `_ServiceError` with the reason and the advice if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _ServiceError(f"{' '.join(command)} failed ({reason}): {advice}")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _last_words(log: str) -> str:
    """The last error message of a command in a log, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    messages = [line.removeprefix(MESSAGE) for line in lines if line.startswith(MESSAGE)]
    return (messages or lines or [""])[-1]
