"""A Ray cluster on this machine, for a while."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from scrivano.cli.local_program import Program, end_tree, kill_tree, wait_until
from scrivano.domain.errors import StartError

__all__ = ["RAY_SETTINGS", "RayNodes", "free_port"]

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
        self._stack.callback(end_tree, program)
        self.nodes[name] = program
        self._options[name] = options

    def _wait_for(self, name: str) -> None:
        """On a busy machine a node may give up before it runs; then it is started again."""
        for _ in range(START_TRIES - 1):
            with suppress(StartError):
                wait_until(lambda: self._runs(self.nodes[name]), f"the Ray node {name} did not start")
                return
            end_tree(self.nodes[name])
            self._start(name, self._options[name])
        wait_until(lambda: self._runs(self.nodes[name]), f"the Ray node {name} did not start")

    def _runs(self, program: Program) -> bool:
        if program.process.poll() is not None:
            raise StartError(f"{program.name} has ended: {''.join(program.lines[-5:]).strip()}")
        return any("Ray runtime started" in line for line in list(program.lines))


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
