"""Log lines as JSON objects on stdout."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from scrivano.telemetry.log_context import LOG_CONTEXT

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

# At INFO, these libraries log what our own lines already say, or nothing of interest.
CHATTY = ("alembic", "httpx2", "uvicorn.error")


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, the current request and job, what was passed as `extra`, and `exception`.

    JSON escapes control characters, so that no message can forge a line or move a terminal's cursor.
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
        if (context := LOG_CONTEXT.get()) is not None:
            fields |= context.fields()
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str) -> None:
    """Log everything of this level and above to stdout. Only programs may call this, libraries never."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Do not collect what no line shows; it costs time for each record (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
