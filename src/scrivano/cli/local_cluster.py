"""Servers and dispatchers on this machine, for a while, and an S3 server for their recordings.

Each has its own folder, ports of this machine only, and ends with its `with` block, whatever happened. So it is with
`local_postgres` and `local_ray`, which they need.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from scrivano.cli.local_program import Program, wait_until
from scrivano.cli.local_ray import RayNodes, free_port

__all__ = ["S3", "Scrivano", "private_s3", "temporary_folder"]


@dataclass
class Scrivano:
    """Servers and dispatchers with the bundled model, for a `with` block. `storage`: where recordings are."""

    folder: Path
    database_url: str
    storage: Mapping[str, str]
    ray: RayNodes
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Scrivano:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def server(self, name: str, **env: str) -> Program:
        """Start a server; it runs when it has logged `listening`."""
        more = {"EXECUTOR": "dispatcher", "ADMISSION": "queue"}
        return self.start(name, ["scrivano", "serve", "--port", "0"], {**more, **env})

    def dispatcher(self, name: str, **env: str) -> Program:
        """Start a dispatcher; it runs when it has logged `dispatching`."""
        return self.start(name, ["scrivano", "dispatcher"], {**self.of_dispatchers, **env})

    @property
    def of_dispatchers(self) -> Mapping[str, str]:
        """What only a dispatcher gets: who has it may run any program on the nodes."""
        return {**self.ray.settings, "RAY_ADDRESS": self.ray.address}

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Program:
        """`command`: a Python module, with its arguments."""
        settings = {
            "DATABASE_URL": self.database_url,
            "DATA_DIR": str(self.folder / name.replace(" ", "-")),
            "WHISPER_MODEL": "nano",
            "DEVICE": "cpu",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "info",
            "API_KEYS_FILE": "",
        }
        program = Program(name, [sys.executable, "-m", *command], {**settings, **self.storage, **env})
        self._stack.callback(program.stop)
        return program


@dataclass(frozen=True, slots=True)
class S3:
    """A running S3 server with a bucket. `settings`: of those who use it."""

    settings: Mapping[str, str]
    program: Program


@contextmanager
def private_s3() -> Iterator[S3]:
    """It keeps objects in its memory. Needs moto, which is for development."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    credentials = {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(8),
        "AWS_REGION": "us-east-1",
    }
    program = Program(
        "the S3 server", [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)], {}
    )
    try:
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=demo/20300101/us-east-1/s3/aws4_request"}
        bucket = urllib.request.Request(f"{url}/recordings", method="PUT", headers=signed)

        def made() -> bool:
            with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(bucket, timeout=5) as answer:
                return bool(answer.status == 200)
            return False

        wait_until(made, "the S3 server did not start")
        yield S3({"AWS_ENDPOINT_URL": url, "BLOB_URL": "s3://recordings/demo", **credentials}, program)
    finally:
        program.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Short, since the path of a socket has at most 107 bytes, and readable, since PostgreSQL may be another user."""
    with tempfile.TemporaryDirectory(prefix="scrivano-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
