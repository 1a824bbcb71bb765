"""The parts of a cluster on this machine, for a while: PostgreSQL, an S3 server, Ray nodes, processes of Scrivano.

Each has its own folder, ports of this machine only, and ends with its `with` block, whatever happened.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from scrivano.domain.errors import StartError

__all__ = [
    "S3",
    "Postgres",
    "Program",
    "RayNodes",
    "Scrivano",
    "kill_tree",
    "postgres_is_missing",
    "private_postgres",
    "private_s3",
    "temporary_folder",
    "tree",
    "wait_until",
]

T = TypeVar("T")

START_S = 120.0
STOP_S = 20.0
START_TRIES = 3

# A lost node is noticed within about 20 s, instead of minutes. docs/scale.md has the same.
RAY_SETTINGS = {
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
    # By default Ray gives its workers, and what they start, only what others leave of the CPU.
    "RAY_worker_niceness": "0",
}

# The least that Ray accepts: no audio goes through it.
OBJECT_STORE_BYTES = 80_000_000


class Program:
    """A process with a log, which is read so that it never blocks. `lines`: those so far."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend(lines)

    def logged(self) -> list[dict[str, object]]:
        """The log lines that are JSON."""
        found = []
        for line in list(self.lines):
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def wait_for(self, message: str, timeout_s: float = START_S) -> dict[str, object]:
        """The first log line with this message. Raises `StartError`."""

        def find() -> dict[str, object] | None:
            if self.process.poll() is not None:
                raise StartError(f"{self.name} has ended: {''.join(self.lines[-5:]).strip()}")
            return next((line for line in self.logged() if line.get("message") == message), None)

        return wait_until(find, f"{self.name} did not start", timeout_s)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It and all that it has started do not go on meanwhile."""
        pids = tree(self.process.pid)
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    def stop(self) -> None:
        """With SIGTERM, and if that does not help, kill it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                kill_tree(self.process.pid)
        self.process.wait()
        self._reader.join(STOP_S)


@dataclass
class RayNodes:
    """A Ray cluster: a head without resources, and nodes, each with an address of its own. For a `with` block.

    `env`: of all nodes.
    """

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 3
    address: str = ""
    nodes: dict[str, Program] = field(default_factory=dict)
    _options: dict[str, Sequence[str]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        token = secrets.token_hex(32)
        self.settings = {
            **RAY_SETTINGS,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def __enter__(self) -> RayNodes:
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        ip = socket_address()
        self.address = f"{ip}:{port}"
        head = ["--head", f"--node-ip-address={ip}", f"--port={port}", "--include-dashboard=false"]
        self._start("head", [*head, "--num-cpus=0", "--num-gpus=0", f"--temp-dir={self.folder}"])
        self._wait_for("head")
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def add(self, *names: str, cpus: int | None = None, gpus: int = 0) -> None:
        """More nodes. They have the loopback addresses 127.0.0.2, 127.0.0.3, … `gpus`: there need not be any."""
        for name in names:
            ip = f"127.0.{len(self.nodes) // 250}.{len(self.nodes) % 250 + 1}"
            has = [f"--num-cpus={self.cpus if cpus is None else cpus}", f"--num-gpus={gpus}"]
            self._start(name, [f"--address={self.address}", f"--node-ip-address={ip}", *has])
        for name in names:
            self._wait_for(name)

    def kill(self, name: str) -> None:
        """As if its machine had lost its power."""
        kill_tree(self.nodes[name].process.pid)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        with self.nodes[name].frozen():
            yield

    def _start(self, name: str, options: Sequence[str]) -> None:
        common = ["--block", f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *common, *options]
        program = Program(f"Ray {name}", command, {**self.env, **self.settings, "NO_COLOR": "1"})
        self._stack.callback(_end_tree, program)
        self.nodes[name] = program
        self._options[name] = options

    def _wait_for(self, name: str) -> None:
        """On a busy machine a node may give up before it runs; then it is started again."""
        for _ in range(START_TRIES - 1):
            with suppress(StartError):
                wait_until(lambda: self._runs(self.nodes[name]), f"the Ray node {name} did not start")
                return
            _end_tree(self.nodes[name])
            self._start(name, self._options[name])
        wait_until(lambda: self._runs(self.nodes[name]), f"the Ray node {name} did not start")

    def _runs(self, program: Program) -> bool:
        if program.process.poll() is not None:
            raise StartError(f"{program.name} has ended: {''.join(program.lines[-5:]).strip()}")
        return any("Ray runtime started" in line for line in list(program.lines))


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


def postgres_is_missing() -> str | None:
    """Why there can be no private PostgreSQL; None: there can."""
    if _postgres_binaries() is None:
        return "PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)"
    if os.getuid() == 0 and _postgres_user() is None:
        return "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`"
    return None


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL with a database. `user`: as whom it runs; None: as this process. `durable`: what is
    committed survives the machine, too."""

    folder: Path
    binaries: Path
    user: str | None
    durable: bool = False

    @property
    def url(self) -> str:
        return f"postgresql://scrivano@/postgres?host={self.folder}"

    @property
    def pid(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        # It listens on a socket in its own folder only.
        fsync = "on" if self.durable else "off"
        server = f"-k {self.folder} -c listen_addresses= -c fsync={fsync} -c max_connections=200"
        self._control("start", "--options", server, "--log", str(self.folder / "log"))

    def kill(self) -> None:
        """As if it had crashed: it recovers when it is started."""
        self._control("stop", "--mode", "immediate")

    def _control(self, *command: str) -> None:
        _run_as(self.user, [str(self.binaries / "pg_ctl"), "--pgdata", str(self.folder / "data"), "--wait", *command])


@contextmanager
def private_postgres(folder: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """With a new database in `folder`, on a socket there. Raises `StartError`."""
    binaries, user = _postgres_binaries(), _postgres_user() if os.getuid() == 0 else None
    if (reason := postgres_is_missing()) is not None or binaries is None:
        raise StartError(reason or "")
    folder.mkdir()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    options = ["--username=scrivano", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    _run_as(user, [str(binaries / "initdb"), "--pgdata", str(data), *options])
    folder.chmod(0o755)
    postgres = Postgres(folder, binaries, user, durable)
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.kill()


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


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def socket_address() -> str:
    """The address of this machine that Ray takes for the head: it has its own idea of a loopback address."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one, suppress(OSError):
        one.connect(("8.8.8.8", 80))  # sends nothing
        return str(one.getsockname()[0])
    return "127.0.0.1"


def tree(pid: int) -> list[int]:
    """A process and all its descendants (Linux)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, generation = [pid], [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        found += generation
    return found


def kill_tree(pid: int) -> None:
    pids = tree(pid)
    _signal(pids, signal.SIGSTOP)  # so that none starts another one meanwhile
    _signal([*pids, *tree(pid)], signal.SIGKILL)


def _end_tree(program: Program) -> None:
    if program.process.poll() is None:
        kill_tree(program.process.pid)
    program.stop()


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], T | None], message: str, timeout_s: float = START_S) -> T:
    """Wait until the result is true, and return that. Raises `StartError`."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise StartError(f"{message} within {timeout_s:g} s")
        time.sleep(0.05)
    return found


def _run_as(user: str | None, command: Sequence[str]) -> None:
    prefix = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user is not None else []
    # The server keeps its output open for as long as it runs: a pipe would never end.
    ended = subprocess.run(
        [*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )
    if ended.returncode:
        raise StartError(f"PostgreSQL: {Path(command[0]).name} failed")


def _postgres_binaries() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _postgres_user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((user for user in ("postgres", "nobody") if user in known), None)
