from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.api.routes.transcripts import disposition


@pytest.mark.parametrize(
    ("filename", "plain", "full"),
    [
        ("meeting.mp3", "meeting.srt", "meeting.srt"),
        ("Réunion du 3 mai.m4a", "Reunion_du_3_mai.srt", "Réunion_du_3_mai.srt"),
        ("\u4f1a\u8bae.wav", "job-1.srt", "\u4f1a\u8bae.srt"),
        ("../../etc/passwd", "passwd.srt", "passwd.srt"),
        ("C:\\Users\\me\\talk.v2.wav", "talk.v2.srt", "talk.v2.srt"),
        ('a"; filename="evil.exe', "a_filename=_evil.srt", "a_filename=_evil.srt"),
        ("line\r\nSet-Cookie: x=1.wav", "lineSet-Cookie_x=1.srt", "lineSet-Cookie_x=1.srt"),
        ("\u202egpj.exe.wav", "gpj.exe.srt", "gpj.exe.srt"),
        (".bashrc", "bashrc.srt", "bashrc.srt"),
        ("..", "job-1.srt", "job-1.srt"),
        (None, "job-1.srt", "job-1.srt"),
        ("x" * 500 + ".wav", "x" * 60 + ".srt", "x" * 60 + ".srt"),
    ],
)
def test_a_file_is_saved_under_the_recordings_name(filename: str | None, plain: str, full: str) -> None:
    names = re.fullmatch(
        r"attachment; filename=\"([^\"]+)\"; filename\*=UTF-8''([^;]+)", disposition(filename, "job-1", "srt")
    )

    assert names is not None
    assert names[1] == plain
    assert unquote(names[2]) == full


@given(st.text(max_size=300))
def test_no_name_breaks_out_of_the_header(filename: str) -> None:
    header = disposition(filename, "job-1", "srt")

    assert re.fullmatch(
        r"attachment; filename=\"[\x20-\x21\x23-\x5b\x5d-\x7e]+\.srt\"; filename\*=UTF-8''[A-Za-z0-9._~%-]+", header
    )
    saved = unquote(header.rpartition("'")[2])
    assert len(saved.encode()) < 255
    assert not set(saved) & set('/\\"<>:|?*')
    assert not saved.startswith(".")
