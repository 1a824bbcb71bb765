"""The files of a service: a systemd user unit, and a launchd agent. Pure."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["LABEL", "UNIT", "launch_agent", "launchd_has_ended", "launchd_runs", "systemd_unit"]

UNIT = "scrivano.service"
LABEL = "io.github.scrivano"

# How long the server may take to stop; batches end within it.
STOP_S = 45

SYSTEMD = """\
# Written by `scrivano service install`, and replaced by the next one.
# Settings: %E/scrivano/scrivano.env, lines like WHISPER_MODEL=small; then `systemctl --user restart scrivano`.
[Unit]
Description=Scrivano, a speech-transcription server
After=network-online.target

[Service]
Type=exec
ExecStart={command}
EnvironmentFile=-%E/scrivano/scrivano.env
Restart=on-failure
RestartSec=2
# An invalid setting.
RestartPreventExitStatus=2
TimeoutStopSec={stop_s}
KillMode=mixed
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def systemd_unit(command: Sequence[str]) -> str:
    return SYSTEMD.format(command=" ".join(_quoted(part) for part in command), stop_s=STOP_S)


def launch_agent(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> bytes:
    """A property list for `~/Library/LaunchAgents`. launchd reads no file with variables, so they are in the list."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "EnvironmentVariables": dict(environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 5,
            "ExitTimeOut": STOP_S,
            "ProcessType": "Interactive",
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        }
    )


def launchd_runs(printed: str) -> bool:
    """Whether the program of a job runs now. `printed`: by `launchctl print`; empty if there is no such job."""
    return re.search(r"^\s*pid = \d", printed, re.MULTILINE) is not None


def launchd_has_ended(printed: str) -> bool:
    """Whether the program has ended since the job was loaded, though launchd may have started it again."""
    ended = r"^\s*last (exit code = \d|terminating signal = )"
    return not printed or re.search(ended, printed, re.MULTILINE) is not None


def _quoted(part: str) -> str:
    """As in a unit file: `%` and `$` have a meaning there, and quotes keep spaces together."""
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(character in part for character in " \t'\"\\;") or not part else escaped
