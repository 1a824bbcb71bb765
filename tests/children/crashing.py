"""A server that is killed at a named point: `python crashing.py POINT DATA_DIR [SCHEMA]`; `-` is no point.

With a folder of migrations it only opens the database, and brings it to that schema.

It is the real server with scripted children; around one of its functions is a wrapper that sends SIGKILL to its own
process before the call, or after it. So no hook stands in the product's path.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrivano.files import blob_writer
from scrivano.files.blob_writer import BlobWriter
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.server.build import ChildCommands
from scrivano.server.run import run
from scrivano.server.settings import Settings
from scrivano.store import migrations, sqlite
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.telemetry import log as logs
from scrivano.webhooks.sender import WebhookSender

HERE = Path(__file__).parent

POINTS: dict[str, tuple[Any, str, str]] = {
    "before the upload's fsync": (BlobWriter, "commit", "before"),
    "after the upload's fsync, before the rename": (FolderBlobs, "rename", "before"),
    "after the rename, before the folder's fsync": (blob_writer, "sync_folder", "before"),
    "after the upload is in its place, before the job's row": (JobStore, "add_job", "before"),
    "after the job's row, before the answer": (JobStore, "add_job", "after"),
    "after the claim": (JobStore, "claim", "after"),
    "after the first chunk's row": (JobStore, "add_chunks", "after"),
    "after a result, before it is stored": (JobStore, "store_results", "before"),
    "after a result is stored": (JobStore, "store_results", "after"),
    "after the plan is complete": (JobStore, "plan_complete", "after"),
    "after the last chunk, before the publishing transaction": (JobStore, "publish_done", "before"),
    "in the publishing transaction": (JobStore, "_finish", "after"),
    "after publishing, before the files go": (JobStore, "publish_done", "after"),
    "before a webhook is sent": (WebhookSender, "_read_body", "before"),
    "after a webhook is sent, before that is recorded": (Outbox, "delivered", "before"),
    "after a webhook is recorded": (Outbox, "delivered", "after"),
    "after a job's row is forgotten, before its files go": (JobStore, "purge", "after"),
    "after the backup, before the migration": (sqlite, "_back_up", "after"),
    "in the migration's transaction": (migrations, "upgrade", "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    place, name, when = POINTS[point]
    if (place, name) == (FolderBlobs, "rename"):  # a default argument, bound when the class was made
        FolderBlobs.__init__.__kwdefaults__ |= {"rename": crashing(os.replace, when)}  # type: ignore[operator]
    else:
        setattr(place, name, crashing(getattr(place, name), when))


def crashing(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = function(*args, **kwargs)
        die()
        return result

    return wrapper


def main() -> None:
    point, data_dir = sys.argv[1], Path(sys.argv[2])
    if point != "-":
        arm(point)
    if len(sys.argv) > 3:
        SqliteDatabase.open(data_dir / "scrivano.db", Path(sys.argv[3])).close()
        return
    logs.configure("info")
    engine = [sys.executable, str(HERE / "engine.py"), str(data_dir), "{}"]
    media = [sys.executable, str(HERE / "media.py")]
    flags = {"data_dir": data_dir, "port": 0, "device": "cpu", "whisper_model": "nano", "admission": "queue"}
    run(Settings.load(flags), ChildCommands(engine=engine, media=media))


if __name__ == "__main__":
    main()
