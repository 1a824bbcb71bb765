"""Run the file system of an image as a container engine would, where there is none: as root on Linux, with buildah.

    python tools/release/run_image.py scrivano:cpu --volume /data=/tmp/data --volume /models=/tmp/models --user 12345

The image's entry point is process 1 of a PID namespace of its own, as any user, without capabilities. The root file
system is read-only; only /tmp and the volumes can be written to. The network is the machine's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Runs in new mount and PID namespaces, so that all of it ends with the process.
SETUP = """
set -eu
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
for pair in $VOLUMES; do mount --bind "${pair#*=}" "$ROOT${pair%%=*}"; done
mount -o remount,bind,ro "$ROOT"
exec chroot "$ROOT" setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups --bounding-set=-all \\
  --inh-caps=-all --no-new-privs "$@"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--user", default="12345", help="UID or UID:GID; the group is 0 if it is not given")
    parser.add_argument("--volume", action="append", default=[], metavar="INSIDE=OUTSIDE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="*", help="in place of the image's command")
    given = parser.parse_args(arguments)
    with mounted(given.image) as (root, config):
        user, _, group = given.user.partition(":")
        command = [*config["Entrypoint"], *(given.command or config.get("Cmd") or [])]
        setup = {"ROOT": str(root), "VOLUMES": " ".join(given.volume), "USER_ID": user, "GROUP_ID": group or "0"}
        inside = [*config["Env"], *given.env]
        return run(setup, ["/usr/bin/env", "-i", *inside, *command])


def run(setup: dict[str, str], command: Sequence[str]) -> int:
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--", "sh", "-c", SETUP, "sh", *command]
    process = subprocess.Popen(unshare, env={**os.environ, **setup}, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        stop_inside(process.pid)
        return process.wait()


def stop_inside(pid: int) -> None:
    """SIGTERM to process 1 of the namespace, as `docker stop` does."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), 15)


@contextmanager
def mounted(image: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The image's file system, and its configuration."""
    container = _buildah("from", "--pull-never", image)
    try:
        config = json.loads(_buildah("inspect", container))["OCIv1"]["config"]
        yield Path(_buildah("mount", container)), config
    finally:
        _buildah("umount", container)
        _buildah("rm", container)


def _buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
