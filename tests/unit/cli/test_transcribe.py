from __future__ import annotations

from scrivano.cli.job_options import Format, Profile, Task
from scrivano.domain.job import Task as JobTask
from scrivano.text.formats import FORMATS
from scrivano.text.shape import PROFILES


def test_the_options_have_all_formats_profiles_and_tasks() -> None:
    assert set(Profile) == set(PROFILES)
    assert set(Format) == set(FORMATS)
    assert {task.value for task in Task} == {task.value for task in JobTask}
