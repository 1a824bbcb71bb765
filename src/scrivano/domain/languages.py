"""The languages that Whisper knows, and the parsing of language codes that clients send."""

from __future__ import annotations

from collections.abc import Iterable

from scrivano.domain.errors import BadParameter, BadRequest

# ISO 639-1 codes (a few are 639-3) and lower-case English names: openai/whisper, tokenizer.py, LANGUAGES.
LANGUAGES: dict[str, str] = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani", "ba": "bashkir",
    "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan", "br": "breton", "bs": "bosnian",
    "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fo": "faroese",
    "fr": "french", "gl": "galician", "gu": "gujarati", "ha": "hausa", "haw": "hawaiian", "he": "hebrew",
    "hi": "hindi", "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese", "ka": "georgian",
    "kk": "kazakh", "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin", "lb": "luxembourgish",
    "ln": "lingala", "lo": "lao", "lt": "lithuanian", "lv": "latvian", "mg": "malagasy", "mi": "maori",
    "mk": "macedonian", "ml": "malayalam", "mn": "mongolian", "mr": "marathi", "ms": "malay", "mt": "maltese",
    "my": "myanmar", "ne": "nepali", "nl": "dutch", "nn": "nynorsk", "no": "norwegian", "oc": "occitan",
    "pa": "punjabi", "pl": "polish", "ps": "pashto", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sa": "sanskrit", "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona",
    "so": "somali", "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili",
    "ta": "tamil", "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog", "tr": "turkish",
    "tt": "tatar", "uk": "ukrainian", "ur": "urdu", "uz": "uzbek", "vi": "vietnamese", "yi": "yiddish",
    "yo": "yoruba", "yue": "cantonese", "zh": "chinese",
}  # fmt: skip

# Scripts without spaces between words, as ranges in a regular expression's set: Thai, Lao, Burmese, Khmer, kana, Han.
UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
)


def parse_language(text: str | None) -> str | None:
    """The language code in a client's text (`en`, `EN`, `en-US`). None: detect the language (no text, or `auto`).

    Raises `BadRequest` for a language that the model does not know.
    """
    code = (text or "").strip().lower().replace("_", "-").split("-")[0]
    if code in ("", "auto"):
        return None
    if code not in LANGUAGES:
        raise BadRequest(
            "language must be an ISO 639-1 code that Whisper knows, such as 'en'; leave it out to detect it"
        )
    return code


def parse_choice(language: str | None, languages: Iterable[str]) -> tuple[str | None, tuple[str, ...] | None]:
    """The language of a recording, and the languages to detect it from, out of a client's `language` and `languages`.

    The second is None when the language is given or may be any. A single entry in `languages` is the language itself.
    Raises `BadParameter`.
    """
    given = _parsed("language", language)
    allowed = {_parsed("languages", code) for code in languages}
    if given and allowed and not allowed & {given, None}:
        named = ", ".join(sorted(filter(None, allowed)))
        raise BadParameter("language", f"language is '{given}', which is none of languages ({named}); leave one out")
    known = tuple(sorted(code for code in allowed if code))
    if given or not known or None in allowed:  # `auto` among `languages` means any language
        return given, None
    return (known[0], None) if len(known) == 1 else (None, known)


def _parsed(param: str, text: str | None) -> str | None:
    try:
        return parse_language(text)
    except BadRequest as error:
        several = "languages must be ISO 639-1 codes that Whisper knows, with commas between them, such as 'de,en'"
        raise BadParameter(param, str(error) if param == "language" else f"{several}; '{text}' is none") from error
