from __future__ import annotations

import plistlib
from pathlib import Path

from scrivano.cli.service_files import LABEL, launch_agent, systemd_unit


def test_a_unit_quotes_what_systemd_would_read_otherwise() -> None:
    unit = systemd_unit(["/opt/my apps/python", "-m", "scrivano", "serve", "--model-path", "/a/100%/$x"])

    assert 'ExecStart="/opt/my apps/python" -m scrivano serve --model-path /a/100%%/$$x\n' in unit


def test_a_launch_agent_starts_again_only_after_a_failure() -> None:
    agent = plistlib.loads(launch_agent(["/usr/bin/python3", "-m", "scrivano"], Path("/tmp/l")))

    assert (agent["Label"], agent["ProgramArguments"][-1]) == (LABEL, "scrivano")
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
