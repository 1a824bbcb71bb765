from __future__ import annotations

import pytest

from scrivano.domain.errors import ModelNotFound
from scrivano.submission.model_names import ALIASES, served_model

MODELS = ("large-v3", "tiny")


@pytest.mark.parametrize("name", [None, "large-v3", *ALIASES])
def test_the_default_model_has_aliases(name: str | None) -> None:
    assert served_model(name, MODELS) is None


def test_another_served_model_is_itself() -> None:
    assert served_model("tiny", MODELS) == "tiny"


def test_a_model_with_the_name_of_an_alias_is_not_reached_by_it() -> None:
    assert served_model("whisper-1", (*MODELS, "whisper-1")) is None


def test_any_other_name_is_refused_with_the_served_ones() -> None:
    with pytest.raises(ModelNotFound, match="this server has 'large-v3' and 'tiny'"):
        served_model("base", MODELS)
