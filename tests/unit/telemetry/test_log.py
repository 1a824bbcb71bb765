"""How a log line reads for people."""

from __future__ import annotations

import logging
import sys

from scrivano.telemetry.log import TextFormatter


def line(message: str, level: int = logging.INFO, **extra: object) -> str:
    record = logging.makeLogRecord(
        {"msg": message, "levelno": level, "levelname": logging.getLevelName(level), **extra}
    )
    return TextFormatter().format(record)


def test_a_line_has_the_time_the_message_and_the_values() -> None:
    time, rest = line("job done", job_id="a1", seconds=2.5).split("  ", 1)

    assert len(time) == len("12:00:01")
    assert rest == "job done  job_id=a1  seconds=2.5"


def test_only_what_is_not_usual_has_its_level() -> None:
    assert "  warning: the disk is full" in line("the disk is full", logging.WARNING)


def test_no_message_moves_the_cursor_or_forges_a_line() -> None:
    assert line("a\x1b[2J\nb", name_of_file="c\rd").endswith("  a\\x1b[2J\\nb  name_of_file=c\\rd")


def test_an_exception_has_lines_of_its_own() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        text = line("it failed", logging.ERROR, exc_info=sys.exc_info())

    assert text.splitlines()[-1] == "ValueError: no"
