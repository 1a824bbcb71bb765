"""Run the server until a signal stops it: sockets, signals, exit code."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import ip_address
from types import FrameType

from scrivano.domain.addresses import authority
from scrivano.engines.gpu_memory import MemoryReader, NvmlReader
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.server.banner import Started
from scrivano.server.build import BuildOptions, ChildCommands, build
from scrivano.server.http_server import ConnectionLimits, HttpServer
from scrivano.server.settings import Settings
from scrivano.server.sockets import bind_all, bind_wyoming
from scrivano.server.stores import start_errors
from scrivano.telemetry.traces import tracing

__all__ = ["run"]

logger = logging.getLogger(__name__)

# The exit code after an internal error (EX_SOFTWARE), so that a supervisor starts the server again.
EXIT_FAILED = 70

# File descriptors for everything except client connections: the database, files, pipes to child processes, webhooks,
# and connections that are accepted only to be refused.
OWN_DESCRIPTORS = 512


def _log_start(started: Started) -> None:
    url = f"http://{authority(started.host, started.port)}"
    logger.info("listening", extra={"url": url, "data_dir": str(started.data_dir)})


def run(
    settings: Settings,
    commands: ChildCommands | None = None,
    memory: MemoryReader | None = None,
    on_start: Callable[[Started], None] = _log_start,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises `StartError` if the server cannot start, `SystemExit` if its runner fails.

    `memory` None: the memory of the GPUs, read with NVML. `on_start` is called once, when clients can connect.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    with ExitStack() as cleanup:
        lock = DataDirLock(settings.data_dir, since=datetime.now(UTC))
        cleanup.callback(lock.release)
        listeners = bind_all(settings.host, settings.port, cleanup)
        runner_failed = threading.Event()
        options = BuildOptions(
            commands=commands or ChildCommands(),
            memory=memory or NvmlReader(),
            wyoming_listener=bind_wyoming(settings, cleanup),
            traces=tracing(os.environ),
            on_runner_failed=runner_failed.set,
        )
        with start_errors(settings):
            parts = build(settings, options, cleanup)
            parts.executor.take_up()
        cleanup.callback(logger.info, "stopped")
        host, port = listeners[0].getsockname()[:2]
        lock.announce(host=host, port=port)
        if settings.api_keys_file is None:
            _warn_of_strangers([listener.getsockname()[0] for listener in listeners])
        on_start(
            Started(
                host=host,
                port=port,
                page=settings.page,
                docs=settings.docs,
                model=parts.model,
                data_dir=settings.data_dir,
            )
        )
        limits, proxies = _connection_limits(settings), settings.forwarded_allow_ips
        HttpServer(parts.app, limits, runner_failed.is_set, parts.prepare_shutdown, proxies).run(listeners)
        if runner_failed.is_set():
            raise SystemExit(EXIT_FAILED)


def _warn_of_strangers(addresses: Sequence[str]) -> None:
    if not all(ip_address(address).is_loopback for address in addresses):
        logger.warning(
            "Listening on %s without API keys: anyone who can reach this machine can use it. Create one with"
            " `scrivano keys create`.",
            ", ".join(addresses),
        )


def _exit(number: int, frame: FrameType | None) -> None:
    """Handles signals before uvicorn serves, and again afterwards: uvicorn raises the signal once more when it ends.

    The default handler would end the process at once, without closing anything.
    """
    raise SystemExit(0)


def _connection_limits(settings: Settings) -> ConnectionLimits:
    """Raise this process's limit of open files if necessary. If that is not possible, allow fewer connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + OWN_DESCRIPTORS
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        logger.warning(
            "only %d open files are allowed, so there are fewer connections than MAX_CONNECTIONS: allow this program %d"
            " (ulimit -n, LimitNOFILE), or lower MAX_CONNECTIONS",
            allowed,
            needed,
        )
    return ConnectionLimits(
        connections=max(1, allowed - OWN_DESCRIPTORS),
        head_s=settings.header_timeout_secs,
        keep_alive_s=settings.http_keep_alive_secs,
        drain_interval_s=settings.upload_idle_secs,
        drain_bytes_per_s=settings.upload_min_bytes_per_sec,
    )
