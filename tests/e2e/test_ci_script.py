"""What `.ci/run` installs and skips on machines of several kinds: programs that only note how they were called."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"

NOTE = '#!/bin/sh\necho "${0##*/} $*" >> "$CALLS"\n'
STUBS = {
    "apt-get": NOTE,
    "sudo": NOTE + 'shift; exec "$@"\n',
    "make": '#!/bin/sh\necho "make $* lacks:$CI_LACKS" >> "$CALLS"\n',
    "sleep": NOTE,
    # Of a Debian: all packages; of an Ubuntu: no driver.
    "apt-cache": '#!/bin/sh\ncase "$DISTRIBUTION $*" in "ubuntu "*chromium-driver*) exit 100 ;; esac\n',
    "id": '#!/bin/sh\necho "${USER_ID:-0}"\n',
}
ANY = "#!/bin/sh\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The folder of all programs of a machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cat", "dirname", "env", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    put(programs, {**STUBS, "curl": ANY, "python3": ANY})
    return programs


def put(programs: Path, scripts: dict[str, str]) -> None:
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)


def run(programs: Path, **env: str) -> tuple[int, list[str]]:
    calls = programs.parent / "calls"
    done = subprocess.run(
        [str(programs / "bash"), str(SCRIPT)],
        env={"PATH": str(programs), "CALLS": str(calls), **env}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, calls.read_text().splitlines()


def test_root_on_debian_installs_everything_and_skips_nothing(machine: Path) -> None:
    put(machine, {"npm": NOTE, "node": ANY})

    code, calls = run(machine, DISTRIBUTION="debian")

    assert code == 0
    assert any(call.endswith("--yes chromium chromium-driver") for call in calls)
    assert not [call for call in calls if call.startswith("sudo")]
    assert calls[-2:] == ["make test lacks:", "make test-slow lacks:"]


def test_a_package_that_cannot_be_installed_on_debian_is_an_error(machine: Path) -> None:
    put(machine, {"npm": ANY, "node": ANY, "apt-get": NOTE + 'case "$*" in *chromium*) exit 100 ;; esac\n'})

    code, calls = run(machine, DISTRIBUTION="debian")

    assert code != 0
    assert not [call for call in calls if call.startswith("make")]


def test_a_user_of_a_hosted_ubuntu_uses_its_chrome_and_installs_with_sudo(machine: Path) -> None:
    driver = machine.parent / "driver"
    driver.mkdir()
    put(driver, {"chromedriver": ANY})
    put(machine, {"npm": ANY, "node": ANY, "google-chrome": ANY})

    code, calls = run(machine, DISTRIBUTION="ubuntu", USER_ID="1001", CHROMEWEBDRIVER=str(driver))

    assert code == 0
    assert not [call for call in calls if "chromium" in call]
    assert len([call for call in calls if call.startswith("apt-get")]) == len(
        [call for call in calls if call.startswith("sudo -n")]
    )
    assert calls[-1] == "make test-slow lacks:"


def test_what_a_machine_cannot_have_is_skipped(machine: Path) -> None:
    put(machine, {"npm": ANY, "node": ANY})
    code, calls = run(machine, DISTRIBUTION="ubuntu", USER_ID="1001")
    assert (code, calls[-1]) == (0, "make test-slow lacks: browser")

    for name in ("apt-get", "apt-cache", "npm", "node"):
        (machine / name).unlink()
    code, calls = run(machine)
    assert (code, calls[-1]) == (0, "make test-slow lacks: browser node")
