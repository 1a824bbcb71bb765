from __future__ import annotations

import os

from scrivano.domain.file_names import valid_name


def test_a_name_that_is_not_utf_8_gets_replacement_characters() -> None:
    assert valid_name(os.fsdecode(b"\xff\xfeB\xe4r.flac")) == "��B�r.flac"


def test_a_valid_name_stays_as_it_is() -> None:
    assert valid_name("Bär 🎙.flac") == "Bär 🎙.flac"
