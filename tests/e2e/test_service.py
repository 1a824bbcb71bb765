"""`scrivano service` with a `systemctl` that notes how it was called, and the unit by systemd's own judgement."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"

# `restart` does what the server does when it listens: it says in its data folder where.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$2" = --quiet ] && exit "${ACTIVE:-0}"
[ -z "${BROKEN:-}" ] || { echo "Failed to connect to bus" >&2; exit 1; }
[ "$2" != restart ] || [ -n "${ACTIVE:-}" ] ||
  echo '{"pid": 7, "since": "'"$(date)"'", "host": "127.0.0.1", "port": 8080}' > "$DATA/server.lock"
"""

JOURNALCTL = """#!/bin/sh
echo "Started scrivano.service"
echo "scrivano: cannot listen on 127.0.0.1 port 8080 (Address already in use)"
echo "scrivano.service: Failed with result exit-code."
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "data").mkdir()
    (tmp_path / "config" / "scrivano").mkdir(parents=True)
    (tmp_path / "config" / "scrivano" / "scrivano.env").write_text(f'# Settings\nDATA_DIR="{tmp_path / "data"}"\n')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    names = {"PATH": path, "CALLS": str(tmp_path / "calls"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    names["DATA"] = str(tmp_path / "data")
    return {**os.environ, **names}


def service(env: dict[str, str], *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scrivano", "service", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, cwd=cwd)


def installed(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "config" / "systemd").rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_a_service_is_installed_shown_and_removed(env: dict[str, str], tmp_path: Path) -> None:
    unit = tmp_path / "config" / "systemd" / "user" / "scrivano.service"
    assert (service(env, "status").returncode, service(env, "uninstall").returncode) == (1, 0)

    done = service(env, "install", "--", "--model", "nano")

    assert done.returncode == 0, done.stderr
    assert "the server is at http://127.0.0.1:8080" in done.stdout
    assert f"ExecStart={sys.executable} -m scrivano serve --model nano\n" in unit.read_text()
    assert "enable-linger" in done.stdout
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

    assert (done.returncode, "/etc/systemd/system" in done.stderr, installed(tmp_path)) == (1, True, [])
    assert "ExecStart=" in service(env, "install", "--print").stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_a_server_that_does_not_start_is_not_left_installed_and_its_reason_is_shown(
    env: dict[str, str], tmp_path: Path
) -> None:
    done = service({**env, "ACTIVE": "3"}, "install", "--", "--model", "nano")

    assert (done.returncode, installed(tmp_path)) == (1, [])
    assert "did not start: cannot listen on 127.0.0.1 port 8080 (Address already in use)" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_an_installation_that_fails_leaves_the_earlier_one(env: dict[str, str], tmp_path: Path) -> None:
    service(env, "install", "--", "--model", "nano")
    [unit] = installed(tmp_path)
    before = unit.read_text()

    assert service({**env, "ACTIVE": "3"}, "install", "--", "--port", "81").returncode == 1
    assert unit.read_text() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd is used there")
def test_the_file_is_removed_even_if_the_server_cannot_be_stopped(env: dict[str, str], tmp_path: Path) -> None:
    service(env, "install", "--", "--model", "nano")

    done = service({**env, "BROKEN": "1"}, "uninstall")

    assert (done.returncode, installed(tmp_path)) == (1, [])
    assert "may still be running" in done.stderr


LAUNCHCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1" != print ] || [ -z "${FAILS:-}" ] || printf '\\tstate = spawn scheduled\\n\\tlast exit code = 2\\n'
[ "$1" != bootstrap ] || [ -z "${BROKEN:-}" ] || { echo "Bootstrap failed: 125" >&2; exit 5; }
"""

# What looks at the platform when it is imported is imported before.
ON_A_MAC = (
    "import sys; import scrivano.server.settings; from scrivano.cli.app import main; sys.platform = 'darwin'; main()"
)


@pytest.mark.parametrize(
    ("how", "said"),
    [({"FAILS": "1"}, "did not start: there is no such setting"), ({"BROKEN": "1"}, "logged in at the screen")],
)
def test_a_launch_agent_that_does_not_run_is_not_left_installed(
    env: dict[str, str], tmp_path: Path, how: dict[str, str], said: str
) -> None:
    """With a `launchctl` that says so."""
    (tmp_path / "bin" / "launchctl").write_text(LAUNCHCTL)
    (tmp_path / "bin" / "launchctl").chmod(0o755)
    logs = tmp_path / "Library" / "Logs"
    logs.mkdir(parents=True)
    (logs / "scrivano.log").write_text("scrivano: there is no such setting\n")
    env = {**env, "HOME": str(tmp_path), **how}

    done = subprocess.run(
        [sys.executable, "-c", ON_A_MAC, "service", "install"], env=env, capture_output=True, text=True, timeout=120
    )

    assert (done.returncode, said in done.stderr, "systemd" in done.stderr) == (1, True, False), done.stderr
    assert list((tmp_path / "Library" / "LaunchAgents").iterdir()) == []


def test_a_launch_agent_has_the_settings_of_the_file(env: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_A_MAC, "service", "install", "--print"],
        env={**env, "HOME": str(tmp_path)},
        capture_output=True,
        timeout=120,
    )

    assert plistlib.loads(done.stdout)["EnvironmentVariables"] == {"DATA_DIR": str(tmp_path / "data")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--modle", "small"], "--model"),
        (["--model", "smal"], "did you mean small"),
        (["--port", "99999"], "--port"),
        (["--while-stdin-is-open"], "not for a service"),
        (["--config", "nowhere.toml"], "cannot read the settings file"),
        (["--model-path", "nowhere"], "does not exist"),
        (["surplus"], "surplus"),
    ],
)
def test_options_that_the_server_would_refuse_are_refused(
    env: dict[str, str], tmp_path: Path, options: list[str], message: str
) -> None:
    done = service(env, "install", "--", *options)

    assert (done.returncode, message in done.stderr, installed(tmp_path)) == (2, True, []), done.stderr


def test_paths_in_the_options_are_made_absolute(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("beam_size = 1\n")
    options = ["--data-dir", "d", "--config", "my.toml", "--api-keys-file", "k.json", "--host", "::", "--host", "::1"]

    shown = service(env, "install", "--print", "--", *options, cwd=tmp_path).stdout

    for option, name in (("--data-dir", "d"), ("--config", "my.toml"), ("--api-keys-file", "k.json")):
        assert f"{option} {tmp_path / name}" in shown
    assert "--host :: --host ::1" in shown


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
