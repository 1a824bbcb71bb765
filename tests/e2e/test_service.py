"""`scrivano service` with a `systemctl` that notes how it was called, and the unit by systemd's own judgement."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$2" = --quiet ] && exit "${ACTIVE:-0}"
[ -z "${BROKEN:-}" ] || { echo "Failed to connect to bus" >&2; exit 1; }
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    path = f"{systemctl.parent}:{os.environ['PATH']}"
    names = {"PATH": path, "CALLS": str(tmp_path / "calls"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return {**os.environ, **names}


def service(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scrivano", "service", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_a_service_is_installed_shown_and_removed(env: dict[str, str], tmp_path: Path) -> None:
    unit = tmp_path / "config" / "systemd" / "user" / "scrivano.service"
    assert (service(env, "status").returncode, service(env, "uninstall").returncode) == (1, 0)

    installed = service(env, "install", "--", "--model", "nano")

    assert installed.returncode == 0, installed.stderr
    assert f"ExecStart={sys.executable} -m scrivano serve --model nano\n" in unit.read_text()
    assert "enable-linger" in installed.stdout
    assert service(env, "status").stdout.startswith("running")
    assert service({**env, "ACTIVE": "3"}, "status").returncode == 1
    assert service(env, "uninstall").returncode == 0
    assert not unit.exists()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:3] == ["--user daemon-reload", "--user enable scrivano.service", "--user restart scrivano.service"]
    assert calls[-2:] == ["--user disable --now scrivano.service", "--user daemon-reload"]


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_without_a_login_session_it_says_what_to_do(env: dict[str, str], tmp_path: Path) -> None:
    done = service({**env, "BROKEN": "1"}, "install")

    assert (done.returncode, "use a system unit" in done.stderr) == (1, True)
    assert "ExecStart=" in service(env, "install", "--print").stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_units_and_rates_the_system_unit_as_safe(env: dict[str, str], tmp_path: Path) -> None:
    # The programs are not installed where the units expect them.
    system = tmp_path / "scrivano.service"
    text = (UNITS / "scrivano.service").read_text()
    system.write_text(text.replace("/opt/scrivano/bin/scrivano", "/bin/true"))
    additions = tmp_path / "scrivano.service.d"
    additions.mkdir()
    for addition in UNITS.glob("scrivano-*.conf"):
        shutil.copy(addition, additions)
    user = tmp_path / "user" / "scrivano.service"
    user.parent.mkdir()
    user.write_text(service(env, "install", "--print").stdout)

    for command in (["verify", str(system)], ["verify", "--user", str(user)]):
        done = subprocess.run(
            ["systemd-analyze", *command],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        if "No such device" in done.stderr or "Failed to initialize manager" in done.stderr:
            pytest.skip(f"systemd-analyze does not work here: {done.stderr}")
        assert (done.returncode, done.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(system)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout
