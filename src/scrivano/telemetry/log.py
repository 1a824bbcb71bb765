"""Log lines on stdout: JSON objects for programs, plain text for people."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from scrivano.telemetry.log_context import LOG_CONTEXT

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

# At INFO, these libraries log what our own lines already say, or nothing of interest.
CHATTY = ("alembic", "httpx2")

# At WARNING, these report each request that is no valid HTTP or form. Our own lines do, with the client or the route.
INDIGNANT = ("python_multipart", "uvicorn.error")


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
        fields |= _more_fields(record)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextFormatter(logging.Formatter):
    """`12:00:01 warning  message  name=value`, and the exception in lines of its own. The time is local.

    Control characters are escaped, so that no message can forge a line or move the terminal's cursor.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        values = [f"{name}={value}" for name, value in _more_fields(record).items()]
        line = _printable("  ".join([f"{time}  {level}{record.getMessage()}", *values]))
        if not record.exc_info:
            return line
        return "\n".join([line, *map(_printable, self.formatException(record.exc_info).splitlines())])


def _more_fields(record: logging.LogRecord) -> dict[str, object]:
    """The current request and job, and what was passed as `extra`."""
    context = LOG_CONTEXT.get()
    fields: dict[str, object] = {} if context is None else dict(context.fields())
    return fields | {name: value for name, value in vars(record).items() if not _is_own(name)}


def _is_own(name: str) -> bool:
    """Whether Python's logging, or a library such as Ray, has set it."""
    return name in _STANDARD or name.startswith("_")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configure(level: str, *, text: bool = False) -> None:
    """Log everything of this level and above to stdout. `text`: for people, not for programs.

    Only programs may call this, libraries never.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Do not collect what no line shows; it costs time for each record (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in INDIGNANT:
        logging.getLogger(name).setLevel(logging.ERROR)
