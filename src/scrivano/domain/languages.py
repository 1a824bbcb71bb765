"""The languages that Whisper knows, and the parsing of codes and names that clients send."""

from __future__ import annotations

import re
import unicodedata
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


# More codes of these languages, beside the keys of `LANGUAGES`. First those of ISO 639-1, 639-2 (bibliographic and
# terminological) and 639-3, with the members of macrolanguages that are varieties of one language (`arz` is Egyptian
# Arabic); source: the tables of the registration authority, iso639-3.sil.org. Then retired codes and those that CLDR
# (supplementalMetadata.xml, languageAlias) replaces by these, and close relatives that the model was trained as.
_CODES = {
    "af": "afr", "am": "amh", "as": "asm", "ba": "bak", "be": "bel", "bg": "bul", "bn": "ben", "bo": "bod tib",
    "ar": "ara arb aao abh abv acm acq acw acx acy adf aeb aec afb ajp apc apd arq ars ary arz auz avl ayh ayl ayn ayp "
    "bbz pga shu ssh",
    "az": "aze azj azb", "br": "bre", "bs": "bos", "ca": "cat", "cs": "ces cze", "cy": "cym wel", "da": "dan",
    "de": "deu ger gsw", "el": "ell gre", "en": "eng", "es": "spa", "et": "est ekk vro", "eu": "eus baq",
    "fa": "fas per pes prs", "fi": "fin", "fo": "fao", "fr": "fra fre", "gl": "glg", "gu": "guj", "ha": "hau",
    "he": "heb iw", "hi": "hin", "hr": "hrv scr", "ht": "hat", "hu": "hun", "hy": "hye arm hyw", "id": "ind in",
    "is": "isl ice", "it": "ita", "ja": "jpn", "jw": "jav jv", "ka": "kat geo", "kk": "kaz", "km": "khm", "kn": "kan",
    "ko": "kor", "la": "lat", "lb": "ltz", "ln": "lin", "lo": "lao", "lt": "lit", "lv": "lav lvs ltg",
    "mg": "mlg plt", "mi": "mri mao", "mk": "mkd mac", "ml": "mal", "mn": "mon khk mvf", "mr": "mar",
    "ms": "msa may zsm zlm", "mt": "mlt", "my": "mya bur", "ne": "nep npi dty", "nl": "nld dut vls", "nn": "nno",
    "no": "nor nb nob", "oc": "oci", "pa": "pan pnb", "pl": "pol", "ps": "pus pst pbt pbu", "pt": "por",
    "ro": "ron rum mo mol", "ru": "rus", "sa": "san", "sd": "snd", "si": "sin", "sk": "slk slo", "sl": "slv",
    "sn": "sna", "so": "som", "sq": "sqi alb als aae aat aln", "sr": "srp scc sh hbs cnr", "su": "sun", "sv": "swe",
    "sw": "swa swh swc", "ta": "tam", "te": "tel", "tg": "tgk", "th": "tha", "tk": "tuk", "tl": "tgl fil",
    "tr": "tur", "tt": "tat", "uk": "ukr", "ur": "urd", "uz": "uzb uzn uzs", "vi": "vie", "yi": "yid ydd yih ji",
    "yo": "yor", "zh": "zho chi cmn cdo cjy cnp cpx csp czh czo gan hak hnm hsn luh lzh mnp nan sjc wuu",
}  # fmt: skip

# More English names, without marks above letters: of openai/whisper (tokenizer.py, TO_LANGUAGE_CODE), ISO 639 and CLDR.
_NAMES = {
    "bn": "bangla", "be": "byelorussian", "ca": "valencian", "el": "modern greek", "es": "castilian",
    "fa": "farsi, dari", "ht": "haitian", "km": "central khmer, cambodian", "az": "azeri", "lb": "letzeburgesch",
    "my": "burmese", "nl": "flemish", "nn": "norwegian nynorsk", "no": "bokmal", "pa": "panjabi", "ps": "pushto",
    "ro": "moldavian, moldovan", "si": "sinhalese", "sl": "slovene", "sr": "montenegrin, serbo croatian",
    "tl": "filipino", "yue": "chinese cantonese, yue chinese", "zh": "mandarin",
}  # fmt: skip

# Tags whose first part alone would be another language: the extended form of `yue`, and a grandfathered tag of `nn`.
_TAGS = {"zh-yue": "yue", "zho-yue": "yue", "chi-yue": "yue", "no-nyn": "nn"}

# What clients send to have the language detected: nothing, a word, an empty value as their language prints it, or the
# codes of ISO 639-2 for an undetermined language and for several. `unknown` is a name that this server answers itself.
_DETECT = frozenset({"", "auto", "automatic", "auto-detect", "autodetect", "detect"} | {"und", "mul", "unknown"})
_EMPTY = frozenset({"none", "null", "undefined"})

_CODE_OF = {code: code for code in LANGUAGES} | {
    other: code for code, others in _CODES.items() for other in others.split()
}
_CODE_BY_NAME = {name: code for code, name in LANGUAGES.items()} | {
    name: code for code, names in _NAMES.items() for name in names.split(", ")
}

_QUALIFIER = re.compile(r"[(\[;,/]|\s[-\u2013\u2014]\s")


def parse_language(text: str | None) -> str | None:
    """Whisper's code of the language that a client names. None: detect the language (no text, or `auto`).

    A client may send a code of any part of ISO 639, a tag with script or region (`pt-BR`, `zh_Hans`), or an English
    name (`Norwegian Bokmål`). Raises `BadRequest` for a language that the model does not know.
    """
    given = (text or "").strip().casefold()
    if given in _DETECT or given in _EMPTY:
        return None
    code = _by_tag(given) or _by_name(given)
    if code is None:
        raise BadRequest(
            "language must be an ISO 639-1 code that Whisper knows, such as 'en', or its English name; "
            "leave it out to detect it"
        )
    return code


def _by_tag(text: str) -> str | None:
    """The language of a tag (`en-US`), or of a locale (`en_US.UTF-8`)."""
    parts = re.split(r"[-_.@]", text)
    return _TAGS.get("-".join(parts[:2])) or _CODE_OF.get(parts[0])


def _by_name(text: str) -> str | None:
    """The language of an English name, which may have a region or a variety behind it or before it."""
    head = _plain(_QUALIFIER.split(text)[0])
    first = _plain(re.split("[-_]", text)[0])
    candidates = (_plain(text), head, *head.split()[-1:], first)
    return next((_CODE_BY_NAME[name] for name in candidates if name in _CODE_BY_NAME), None)


def _plain(name: str) -> str:
    """Words with single spaces between them, without marks above letters."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return " ".join(re.findall(r"\w+", letters.replace("_", " ")))


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
