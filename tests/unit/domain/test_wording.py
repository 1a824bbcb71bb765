from __future__ import annotations

import re
from pathlib import Path

import pytest

from scrivano.domain.wording import counted, did_you_mean

COMMANDS = sorted((Path(__file__).parents[3] / "src" / "scrivano" / "cli").glob("*.py"))

# A value before what may be a plural.
PLURAL = re.compile(r"\{[^{}]+\} (?:\w+ )?[a-z]{3,}s\b")
VERBS = ("belongs", "does", "exists", "has", "lies", "minutes", "serves", "takes", "this", "was")


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "job", "0 jobs"),
        (1, "job", "1 job"),
        (2, "job", "2 jobs"),
        (1, "delivery", "1 delivery"),
        (3, "webhook delivery", "3 webhook deliveries"),
        (2, "batch", "2 batches"),
        (2, "day", "2 days"),
    ],
)
def test_a_number_has_the_right_form_of_its_noun(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


def test_an_unknown_name_is_compared_with_the_known_ones() -> None:
    assert did_you_mean("beam_sise", ["port", "beam_size"]) == "; did you mean beam_size?"
    assert did_you_mean("LARGE", ["large", "tiny"]) == "; did you mean large?"
    assert did_you_mean("zzz", ["large", "tiny"]) == ""


def test_the_commands_count_with_it() -> None:
    """No `{count} jobs` in what the commands print, unless the number is always several."""
    several = {"{measured.count} recordings", "{count} recordings"}
    found = {one for path in COMMANDS for one in PLURAL.findall(path.read_text())}

    assert {one for one in found if one.rpartition(" ")[2] not in VERBS} - several == set()
