"""A node's end: the child, what it reads and writes, and the lines that it exchanges with its dispatcher.

Ray makes an actor of `NodeChild`; nothing here knows of Ray.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from scrivano.cluster.node_folder import NodeFolder
from scrivano.cluster.translation import EngineTranslator, MediaTranslator, SpeakersTranslator, Translator
from scrivano.engines.gpu_memory import NvmlReader
from scrivano.files.blob_url import open_audio, open_recordings
from scrivano.files.disk_space import DiskSpace
from scrivano.processes.child import MAX_LINE_BYTES, Process, Spawned
from scrivano.processes.messages import Load
from scrivano.running.children import LocalChildren

__all__ = ["Lines", "NodeChild", "NodeOptions"]

# A dispatcher that asks for lines gets an answer after so long, even if there are none: it is alive.
LONGEST_WAIT_S = 2.0

# A killed child ends in milliseconds.
CLOSE_S = 5.0

# More lines wait in the child's pipe.
MOST_LINES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What runs on a node. `modules`: the programs of the three kinds of children.

    `folder`: where it writes; None: the system's folder for temporary files. `environment`: variables of the engine
    child. `needed_mb`: GPU memory for a load. `min_free_bytes`: of the disk of `folder`.
    """

    kind: Literal["media", "engine", "speakers"]
    modules: Mapping[str, str]
    blob_url: str
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    needed_mb: int = 0
    min_free_bytes: int = 0
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """What a child wrote: messages, and lines for the log. `returncode` as in `subprocess`: then it has ended."""

    messages: Sequence[bytes]
    log: Sequence[bytes]
    returncode: int | None


class NodeChild:
    """One child after the other. Methods may be called at the same time; those that wait say so."""

    def __init__(self, options: NodeOptions) -> None:
        """Raises `StartError`, and what a missing extra does."""
        # Ray sets it for its own workers; the children choose their threads themselves.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._options = options
        self._folder = NodeFolder(options.folder)
        self._disk_space = DiskSpace(self._folder.path, min_free_bytes=options.min_free_bytes)
        self._audio = open_audio(options.blob_url)
        self._recordings = open_recordings(
            options.blob_url, self._folder.path / "recordings", cache_bytes=0, disk_space=self._disk_space
        )
        self._memory = NvmlReader() if options.gpu else None
        commands = {kind: (sys.executable, "-m", module) for kind, module in options.modules.items()}
        speakers = (*commands["speakers"], *(("--gpu", "0") if options.gpu else ()))
        self._children = LocalChildren(
            media=commands["media"], engine=commands["engine"], speakers=speakers, environment=options.environment
        )
        self._changed = threading.Condition()
        self._messages: list[bytes] = []
        self._log: list[bytes] = []
        self._returncode: int | None = None
        self._process: Process | None = None
        self._translator: Translator | None = None
        self._life: threading.Thread | None = None
        self._fork_server: Spawned | None = None
        if options.kind == "media":
            self._open_media()

    def start(self) -> str:
        """Start a child; the one before has ended. Returns the name of this node."""
        with self._changed:
            self._messages, self._log, self._returncode = [], [], None
        self._translator = self._new_translator()
        started = threading.Event()
        # The child is killed when the thread that started it ends: it is one that lives as long as the child.
        self._life = threading.Thread(target=self._run, args=(self._translator, started), daemon=True)
        self._life.start()
        started.wait()
        return socket.gethostname()

    def write(self, line: bytes, attachment: bytes | None = None) -> None:
        """Send the child a request, when its audio is here. Waits for that."""
        assert self._translator is not None
        request, process = self._translator.to_child(line, attachment), self._process
        if request is not None and process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended
                process.stdin.write(request + b"\n")
                process.stdin.flush()

    def read(self) -> Lines:
        """What the child has written since the last call. Waits a little for something."""
        with self._changed:
            self._changed.wait_for(self._has_news, LONGEST_WAIT_S)
            lines = Lines(self._messages, self._log, self._returncode)
            self._messages, self._log = [], []
            self._changed.notify_all()
        return lines

    def kill(self) -> None:
        """Kill the child; `read` then says that it has ended."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.kill()
        if self._life is not None:
            self._life.join(CLOSE_S)
        self._close_media()
        self._recordings.close()
        self._audio.close()
        if self._memory is not None:
            self._memory.close()
        self._folder.close()

    def _has_news(self) -> bool:
        return bool(self._messages or self._log or self._returncode is not None)

    def _new_translator(self) -> Translator:
        folder = self._folder.path / "audio"
        folder.mkdir(exist_ok=True)
        match self._options.kind:
            case "media":
                return MediaTranslator(self._recordings, self._audio, folder, self._message)
            case "engine":
                return EngineTranslator(self._audio, folder, self._message, self._free_mb, self._options.needed_mb)
            case "speakers":
                return SpeakersTranslator(self._audio, folder, self._message)

    def _free_mb(self) -> int | None:
        """Of the GPU that Ray gave this process."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
        if self._memory is None or not visible.isdecimal():
            return None
        memory = self._memory.read(int(visible))
        return None if memory is None else memory.free_mb

    def _run(self, translator: Translator, started: threading.Event) -> None:
        """The life of a child."""
        try:
            process = self._process = self._start_process()
        except OSError as error:
            self._process = None
            self._end(1, str(error))
            return
        finally:
            started.set()
        if process.stderr is not None:
            threading.Thread(target=self._read_log, args=(process.stderr,), daemon=True).start()
        assert process.stdout is not None
        with process.stdout as lines:
            while line := lines.readline(MAX_LINE_BYTES):
                try:
                    self._message(translator.from_child(line.rstrip(b"\n")))
                except ValueError:  # it is no message: the dispatcher says so, and ends the child
                    self._message(line.rstrip(b"\n"))
        returncode = process.wait()
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        translator.ended()
        self._end(returncode)

    def _end(self, returncode: int, reason: str = "") -> None:
        with self._changed:
            self._log += [reason.encode()] if reason else []
            self._returncode = returncode
            self._changed.notify_all()

    def _start_process(self) -> Process:
        match self._options.kind:
            case "media":
                return self._fork()
            case "engine":
                return self._children.engine(Load(), 0)
            case "speakers":
                return self._children.speakers()

    def _fork(self) -> Process:
        try:
            return self._children.media.start()
        except OSError:  # what it is a fork of has died
            self._close_media()
            self._open_media()
            return self._children.media.start()

    def _open_media(self) -> None:
        self._fork_server = self._children.media.open()
        threading.Thread(target=self._read_log, args=(self._fork_server.stderr,), daemon=True).start()

    def _close_media(self) -> None:
        self._children.media.close()
        if self._fork_server is not None and self._fork_server.stdout is not None:
            self._fork_server.stdout.close()
            self._fork_server.wait()
            self._fork_server = None

    def _message(self, line: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) < MOST_LINES, LONGEST_WAIT_S)
            self._messages.append(line)
            self._changed.notify_all()

    def _read_log(self, stderr: IO[bytes] | None) -> None:
        assert stderr is not None
        with stderr as lines:
            for line in lines:
                with self._changed:
                    if len(self._log) < MOST_LINES:
                        self._log.append(line)
                        self._changed.notify_all()
