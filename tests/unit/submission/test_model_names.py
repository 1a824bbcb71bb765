from __future__ import annotations

import pytest

from scrivano.domain.errors import ModelNotFound
from scrivano.submission.model_names import ALIASES, ServedModels

MODELS = ServedModels(("large-v3", "tiny"))


@pytest.mark.parametrize("name", [None, "large-v3", *ALIASES, "openai/whisper-1", "Whisper-1"])
def test_the_default_model_has_aliases(name: str | None) -> None:
    assert MODELS.find(name) is None


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-2025-03-20", "openai/gpt-4o-transcribe-latest"]
)
def test_openais_dated_names_mean_the_default_model(name: str) -> None:
    assert MODELS.find(name) is None


@pytest.mark.parametrize(
    ("served", "names"),
    [
        (
            "large-v3",
            "large openai/whisper-large-v3 whisper-large-v3 Systran/faster-whisper-large-v3 whisper-large whisper-v3 "
            "faster-whisper-large-v3 LARGE-V3 ggml-large-v3.bin models/ggml-large-v3-q5_0.bin "
            "mlx-community/whisper-large-v3-mlx models--Systran--faster-whisper-large-v3 openai_whisper-large-v3",
        ),
        (
            "large-v3-turbo",
            "turbo whisper-large-v3-turbo deepdml/faster-whisper-large-v3-turbo-ct2 whisper-turbo openai/whisper-turbo "
            "mobiuslabsgmbh/faster-whisper-large-v3-turbo whisper-v3-turbo large_v3_turbo",
        ),
        ("small.en", "openai/whisper-small.en faster-whisper-small.en ggml-small.en.bin"),
        ("distil-large-v3", "distil-whisper/distil-large-v3 faster-distil-whisper-large-v3 distil-whisper-large-v3-en"),
        ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
        ("Systran/faster-whisper-base", "base whisper-base openai/whisper-base faster-whisper-base systran/base"),
        ("acme/Meetings", "meetings Meetings acme/meetings"),
        ("ggml-small-q5_0", "small ggml-small ggml-small-q5_0.bin whisper-small"),
    ],
)
def test_every_name_of_the_served_model_means_it(served: str, names: str) -> None:
    models = ServedModels((served, "tiny"))

    assert {name: models.find(name) for name in names.split()} == dict.fromkeys(names.split())


def test_another_served_model_is_itself() -> None:
    assert {MODELS.find(name) for name in ("tiny", "openai/whisper-tiny", "Tiny")} == {"tiny"}


def test_an_exact_name_goes_before_a_similar_one() -> None:
    models = ServedModels(("acme/whisper-small", "Systran/faster-whisper-small", "turbo", "large-v3-turbo"))

    assert models.find("Systran/faster-whisper-small") == "Systran/faster-whisper-small"
    assert models.find("large-v3-turbo") == "large-v3-turbo"
    assert models.find("small") is None


def test_a_served_model_goes_before_openais_name() -> None:
    assert ServedModels((*MODELS, "whisper-1")).find("whisper-1") == "whisper-1"


def test_aliases_that_were_set_go_before_everything() -> None:
    models = ServedModels(("large-v3", "tiny"), {"Fast": "tiny", "whisper-1": "tiny", "best": "large-v3"})

    assert [models.find(name) for name in ("Fast", "fast", "openai/fast", "whisper-1")] == ["tiny"] * 4
    assert models.find("best") is None
    assert models.shown[:5] == ("large-v3", "tiny", "Fast", "whisper-1", "best")
    assert len(set(models.shown)) == len(models.shown)


@pytest.mark.parametrize("name", ["base", "large-v2", "tiny.en", "gpt-4o", "", "-", "/"])
def test_any_other_name_is_refused_with_the_served_ones(name: str) -> None:
    with pytest.raises(ModelNotFound, match="this server has 'large-v3' and 'tiny'"):
        MODELS.find(name)
