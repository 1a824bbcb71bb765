from __future__ import annotations

from scrivano.cli.transcribe import Format, Task
from scrivano.domain.job import Task as JobTask
from scrivano.text.formats import FORMATS


def test_the_options_have_all_formats_and_tasks() -> None:
    assert set(Format) == set(FORMATS)
    assert {task.value for task in Task} == {task.value for task in JobTask}
