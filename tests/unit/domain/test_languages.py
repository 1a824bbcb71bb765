from __future__ import annotations

import pytest

from scrivano.domain.errors import BadParameter, BadRequest
from scrivano.domain.languages import LANGUAGES, parse_choice, parse_language


@pytest.mark.parametrize("code", LANGUAGES)
def test_whispers_codes_and_names_mean_themselves(code: str) -> None:
    name = LANGUAGES[code]

    assert {parse_language(text) for text in (code, code.upper(), name, name.title(), f"{code}-XX")} == {code}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # Parts 1, 2 (bibliographic and terminological) and 3 of ISO 639
        *(("deu", "de"), ("ger", "de"), ("fre", "fr"), ("fra", "fr"), ("cze", "cs"), ("ces", "cs"), ("rum", "ro")),
        *(("chi", "zh"), ("zho", "zh"), ("cmn", "zh"), ("yue", "yue"), ("haw", "haw"), ("arz", "ar"), ("pes", "fa")),
        *(("ekk", "et"), ("lvs", "lv"), ("zsm", "ms"), ("swh", "sw"), ("khk", "mn"), ("ben", "bn"), ("jav", "jw")),
        # Retired codes, and close relatives
        *(("nb", "no"), ("nob", "no"), ("nno", "nn"), ("iw", "he"), ("jv", "jw"), ("in", "id"), ("ji", "yi")),
        *(("fil", "tl"), ("mo", "ro"), ("sh", "sr"), ("scr", "hr"), ("gsw", "de")),
        # Tags and locales
        *(("pt-BR", "pt"), ("zh-Hans-CN", "zh"), ("en_US", "en"), ("en_US.UTF-8", "en"), ("sr-Latn", "sr")),
        *(("nb-NO", "no"), ("fil-PH", "tl"), ("iw-IL", "he"), ("hin-IND", "hi"), ("es-419", "es"), ("zh-HK", "zh")),
        *(("zh-yue-HK", "yue"), ("yue-CN", "yue"), ("no-nyn", "nn"), ("de@euro", "de"), ("en-GB-x-private", "en")),
        # Names
        *(("Norwegian Bokmål", "no"), ("Norwegian Nynorsk", "nn"), ("Norwegian (Nynorsk)", "nn"), ("Farsi", "fa")),
        *(("Chinese (Simplified)", "zh"), ("Chinese (Cantonese)", "yue"), ("Mandarin Chinese", "zh")),
        *(("Simplified Chinese", "zh"), ("Brazilian Portuguese", "pt"), ("English (United States)", "en")),
        *(("Greek, Modern (1453-)", "el"), ("Spanish; Castilian", "es"), ("Haitian; Haitian Creole", "ht")),
        *(("haitian_creole", "ht"), ("Serbian (Latin)", "sr"), ("Māori", "mi"), ("Burmese", "my"), ("Flemish", "nl")),
        *(("English - US", "en"), ("spanish-latin-america", "es"), ("Valencian", "ca"), ("Filipino", "tl")),
    ],
)
def test_a_language_has_many_names(text: str, code: str) -> None:
    assert {parse_language(spelling) for spelling in (text, text.lower(), text.upper(), f"  {text} ")} == {code}


@pytest.mark.parametrize("text", [None, "", "  ", "auto", "AUTO", "und", "auto-detect", "mul", "unknown", "None"])
def test_these_mean_that_the_language_is_to_be_detected(text: str | None) -> None:
    assert parse_language(text) is None


@pytest.mark.parametrize("text", ["klingon", "xx", "zzz", "tlh", "ga", "e n", "-", "日本", "x" * 9999])
def test_other_languages_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="language must be an ISO 639-1 code"):
        parse_language(text)


def test_no_name_is_two_languages() -> None:
    assert {parse_language(text) for text in ("hrv", "bos", "srp")} == {"hr", "bs", "sr"}


def test_a_choice_is_of_languages_not_of_spellings() -> None:
    assert parse_choice(None, ["german", "de-AT", "eng"]) == (None, ("de", "en"))
    assert parse_choice("ger", ["german", "en"]) == ("de", None)
    assert parse_choice(None, ["nb", "Norwegian"]) == ("no", None)
    with pytest.raises(BadParameter, match="languages must be"):
        parse_choice(None, ["de", "klingon"])
