from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from scrivano.cli.service_files import LABEL, launch_agent, launchd_has_ended, launchd_runs, systemd_unit


def test_a_unit_quotes_what_systemd_would_read_otherwise() -> None:
    unit = systemd_unit(["/opt/my apps/python", "-m", "scrivano", "serve", "--model-path", "/a/100%/$x"])

    assert 'ExecStart="/opt/my apps/python" -m scrivano serve --model-path /a/100%%/$$x\n' in unit


def test_a_launch_agent_starts_again_only_after_a_failure() -> None:
    agent = plistlib.loads(launch_agent(["/usr/bin/python3", "-m", "scrivano"], Path("/tmp/l"), {"BEAM_SIZE": "1"}))

    assert (agent["Label"], agent["ProgramArguments"][-1]) == (LABEL, "scrivano")
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["EnvironmentVariables"] == {"BEAM_SIZE": "1"}


# As `launchctl print` writes it; whoever is asked may be started, running, waiting to be started again, or unknown.
STARTED = "gui/501/io.github.scrivano = {\n\tstate = spawn scheduled\n\tlast exit code = (never exited)\n}\n"
RUNNING = "gui/501/io.github.scrivano = {\n\tstate = running\n\tpid = 812\n\tlast exit code = (never exited)\n}\n"
FAILED = "gui/501/io.github.scrivano = {\n\tstate = spawn scheduled\n\tlast exit code = 2\n}\n"
AGAIN = "gui/501/io.github.scrivano = {\n\tstate = running\n\tpid = 813\n\tlast exit code = 78: EX_CONFIG\n}\n"
KILLED = "gui/501/io.github.scrivano = {\n\tstate = not running\n\tlast terminating signal = Killed: 9\n}\n"


@pytest.mark.parametrize(
    ("printed", "runs", "has_ended"),
    [
        (STARTED, False, False),
        (RUNNING, True, False),
        (FAILED, False, True),
        (AGAIN, True, True),
        (KILLED, False, True),
        ("", False, True),
    ],
)
def test_a_job_of_launchd_that_is_loaded_may_not_run(printed: str, runs: bool, has_ended: bool) -> None:
    assert (launchd_runs(printed), launchd_has_ended(printed)) == (runs, has_ended)
