from __future__ import annotations

import pytest

from scrivano.engines.ggml import how_to_install


@pytest.mark.parametrize(
    ("system", "machine", "part"),
    [("linux", "x86_64", "pip install"), ("darwin", "arm64", "pip install"), ("darwin", "x86_64", "CTranslate2")],
)
def test_where_there_is_no_package_none_is_recommended(system: str, machine: str, part: str) -> None:
    assert part in how_to_install(system, machine)
