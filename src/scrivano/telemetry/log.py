"""Log lines as JSON objects on stdout."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from scrivano.telemetry.log_context import CURRENT

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


# These tell at INFO what ours tell already, or nothing.
CHATTY = ("alembic", "httpx2", "uvicorn.error")


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, the request and the job in hand, what was passed as `extra`, and
    `exception` where there is one.

    JSON escapes control characters, so no message can forge a line or move a terminal's cursor.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := CURRENT.get()) is not None:
            fields |= current.fields()
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str) -> None:
    """Send everything of this level and above to stdout. For programs only; a library never does this."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What no line shows need not be found out for each of them (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
