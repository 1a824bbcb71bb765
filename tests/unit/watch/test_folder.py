from __future__ import annotations

from scrivano.watch.folder import sidecar_names


def test_sidecars_have_the_name_that_players_look_for() -> None:
    assert sidecar_names("films/a.b.mkv", ["srt", "json"], ["films/a.b.mkv", "c.mp3"]) == {
        "srt": "films/a.b.srt",
        "json": "films/a.b.json",
    }


def test_recordings_that_differ_in_their_endings_only_do_not_share_sidecars() -> None:
    others = ["x/a.mp3", "x/a.wav", "y/a.mp3"]

    names = [sidecar_names(name, ["srt"], others)["srt"] for name in others]

    assert names == ["x/a.mp3.srt", "x/a.wav.srt", "y/a.srt"]
