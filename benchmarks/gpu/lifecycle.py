"""The server on the device: load, job, cancel, lack of memory, unload, and the memory of the device at each step."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.device_memory import SETTLE_S, Peak, Read, device_memory, settled
from benchmarks.gpu.check import Check, until
from benchmarks.gpu.holder import Holder
from benchmarks.gpu.results import Row
from benchmarks.servers import RequestOptions, Scrivano, served

IDLE_S, POLL_S = 3, 2
LOAD_S, JOB_S = 120.0, 120.0

# NVML counts whole pages and the driver's own memory, so equal states differ by a little.
SLACK_MB = 64

# What the holder leaves free: less than a model needs; and, once the model is loaded, less than a batch needs.
LEAVE_BEFORE_MB, LEAVE_AFTER_MB = 512, 64

# More than any GPU has: a holder that leaves it takes nothing.
EVERYTHING_MB = 1 << 30

TEXT = RequestOptions(language="en")


@contextmanager
def server_on(check: Check, **environment: str) -> Iterator[Scrivano]:
    settings = {
        "DEVICE": check.device,
        "COMPUTE_TYPE": check.size.compute_types[0],
        "WHISPER_MODEL": check.size.served_shape,
        "WHISPER_MODEL_PATH": str(check.model(check.size.served_shape, check.size.tokens)),
        "GPU_POLL_INTERVAL_SECS": str(POLL_S),
        "UNLOAD_HOLD_SECS": "0",
        **environment,
    }
    with served(**settings) as server:
        yield server


def lifecycle(check: Check) -> Iterator[Row]:
    gpu = device_memory(check.device)
    before = gpu() if check.on_gpu else 0.0
    speech = check.speech(check.size.job_s)
    with server_on(check, IDLE_TIMEOUT_SECS=str(IDLE_S)) as server:
        read = device_memory(check.device, server.pid)
        health = server.http.get("/health").raise_for_status().json()
        right = health["model_state"] == "unloaded" and (health["gpu_name"] is not None) == check.on_gpu
        yield Row(name="/health", value=json.dumps(health), ok=right)
        yield Row(name="memory with a server without a model", value=read(), unit="MB", data={"before": before})
        yield from _loaded(server, read)
        with Peak(read) as peak:
            began = time.monotonic()
            segments = server.transcribe(speech, TEXT)
            seconds = time.monotonic() - began
        words = _words(segments)
        yield Row(
            name="a job",
            value=check.size.job_s / seconds,
            unit="x real time",
            detail=f"{check.size.job_s:.0f} s of audio in {seconds:.2f} s, {words} words; at most {peak.mb:,.0f} MB",
            ok=words > 0,
        )
        yield from _cancelled(check, server)
        yield from _idle(check, server, read, before)


def _loaded(server: Scrivano, read: Read) -> Iterator[Row]:
    began = time.monotonic()
    server.load()
    seconds = time.monotonic() - began
    status = server.http.get("/model/status").json()
    yield Row(name="load", value=seconds, unit="s", detail=f"then {read():,.0f} MB are used", ok=True)
    yield Row(name="/model/status", value=json.dumps(status), ok=status["state"] == "ready")


def _words(segments: list[dict[str, Any]]) -> int:
    return sum(len(segment["text"].split()) for segment in segments)


def _cancelled(check: Check, server: Scrivano) -> Iterator[Row]:
    job_id = server.submit(check.speech(check.size.speech_s), language="en")
    until(lambda: _job(server, job_id)["status"] in ("running", "done") or None, JOB_S, "the job runs")
    began = time.monotonic()
    server.http.delete(f"/jobs/{job_id}").raise_for_status()
    status = until(lambda: _ended(_job(server, job_id)), JOB_S, "the job has ended")
    seconds = time.monotonic() - began
    server.transcribe(check.clip(), TEXT)
    detail = f"a clip after it was done {time.monotonic() - began:.2f} s after the request"
    yield Row(name=f"cancel: the job is {status}", value=seconds, unit="s", detail=detail, ok=status == "cancelled")


def _job(server: Scrivano, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = server.http.get(f"/jobs/{job_id}").raise_for_status().json()
    return job


def _ended(job: Mapping[str, Any]) -> str | None:
    return str(job["status"]) if job["status"] in ("done", "failed", "cancelled") else None


def _state(server: Scrivano) -> str:
    return str(server.http.get("/model/status").json()["state"])


def _idle(check: Check, server: Scrivano, read: Read, before: float) -> Iterator[Row]:
    loaded = read()
    until(lambda: _state(server) == "unloaded" or None, IDLE_S + JOB_S, "the idle model is unloaded")
    gone = until(lambda: not _engines(server) or None, SETTLE_S, "the engine process has ended")
    if not check.on_gpu:
        detail = f"{loaded:,.0f} MB with the model; no engine process is left"
        yield Row(name="memory after the idle unload", value=read(), unit="MB", detail=detail, ok=gone)
        return
    after, seconds = settled(read, before + SLACK_MB)
    yield Row(
        name="memory after the idle unload",
        value=after,
        unit="MB",
        detail=f"{loaded:,.0f} MB with the model, {before:,.0f} MB before the server; settled in {seconds:.1f} s",
        ok=gone and after <= before + SLACK_MB,
    )


def _engines(server: Scrivano) -> list[int]:
    return [pid for pid, command in server.children().items() if "scrivano.engines" in command]


def lack_of_memory(check: Check) -> Iterator[Row]:
    """Another process holds the device's memory: before a load, and while a loaded model decodes."""
    with Holder(EVERYTHING_MB) as holder:
        reason = holder.skipped or ("" if check.on_gpu else "the server under test does not use a GPU")
        if reason:
            yield Row(name="memory held by another process", skipped=reason)
            return
    for name, scene, leave_mb in (
        ("held before the load", _held_before, LEAVE_BEFORE_MB),
        ("held while the model is loaded", _held_later, LEAVE_AFTER_MB),
    ):
        with server_on(check, IDLE_TIMEOUT_SECS="0") as server:
            expected = None
            if scene is _held_later:
                expected = _words(server.transcribe(check.speech(check.size.job_s), TEXT))
                _reload(server)
            with Holder(leave_mb) as holder:
                held = f"{holder.held_mb:,} MB held by another process, {holder.free_mb:,} MB free"
                yield Row(name=name, value=held, ok=holder.free_mb <= leave_mb + SLACK_MB)
                yield from scene(check, server, holder, expected)


def _reload(server: Scrivano) -> None:
    """So that the engine's allocator has no memory from earlier batches."""
    server.http.post("/model/unload").raise_for_status()
    until(lambda: _state(server) == "unloaded" or None, LOAD_S, "the model is unloaded")
    server.load()


def _held_before(check: Check, server: Scrivano, holder: Holder, expected: int | None) -> Iterator[Row]:
    server.http.post("/model/load").raise_for_status()
    until(lambda: _state(server) == "waiting_for_gpu" or None, LOAD_S, "the load waits for memory")
    status = server.http.get("/model/status").json()
    yield Row(name="… /model/status meanwhile", value=json.dumps(status), ok=status["vram_free_mb"] >= 0)
    job_id = server.submit(check.clip(), language="en")
    waiting = until(lambda: _job(server, job_id).get("waiting_for"), LOAD_S, "the job says what it waits for")
    yield Row(name="… waiting_for of a job", value=json.dumps(waiting), ok=True)
    began = time.monotonic()
    holder.release()
    server.ended(job_id)
    seconds = time.monotonic() - began
    yield Row(name="… from its end to the end of the waiting clip", value=seconds, unit="s", ok=True)


def _held_later(check: Check, server: Scrivano, holder: Holder, expected: int | None) -> Iterator[Row]:
    """Whatever the server does, it must lose nothing: the job is done once the memory is back, with all its words."""
    with _states(server) as states:
        job_id = server.submit(check.speech(check.size.job_s), language="en")
        with suppress(TimeoutError):
            until(lambda: _ended(_job(server, job_id)), 3 * POLL_S, "the job is done in little memory")
        held = _job(server, job_id)
        began = time.monotonic()
        holder.release()
        job = server.ended(job_id)
        seconds = time.monotonic() - began
    words = _words(job["segments"])
    yield Row(
        name="… the job meanwhile",
        value=f"{held['status']}, model {' → '.join(states)}",
        detail=json.dumps({name: held.get(name) for name in ("progress", "waiting_for", "error")}, default=str),
        ok=held["status"] != "failed",
    )
    detail = f"{words} words, {expected} with all memory"
    yield Row(name="… done after the memory was back", value=seconds, unit="s", detail=detail, ok=words == expected)


@contextmanager
def _states(server: Scrivano) -> Iterator[list[str]]:
    """The states of the model during the block, as often as they can be asked."""
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            state = _state(server)
            if seen[-1:] != [state]:
                seen.append(state)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
