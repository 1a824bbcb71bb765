"""Text that a model made up where nobody spoke. Pure.

Sound and probabilities have to agree: text is dropped only where no speech was detected and the model was unsure. Sung
or whispered words that the detector does not know stay, because the model is sure of them.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence

from scrivano.domain.coverage import Span, between, letters, seconds_of
from scrivano.domain.transcript import Segment

__all__ = ["drop_inventions", "is_known_invention"]

# Words may be placed so far from where they were said.
SLACK_S = 0.3

# Text counts as unheard if less than this part of its time is speech.
HEARD = 0.1

# Where nobody spoke, the model was unsure of all texts that it made up over music, noise, hum and silence, by one of
# these: its own probability of no speech, the mean log-probability of the tokens, the mean probability of the words.
NO_SPEECH, LOGPROB, PROBABILITY = 0.4, -0.6, 0.5

# For phrases that models are known to make up, less doubt is enough.
KNOWN_NO_SPEECH, KNOWN_LOGPROB, KNOWN_PROBABILITY = 0.2, -0.3, 0.8

# What Whisper learned from the ends of videos and from the credits of subtitles, without case and punctuation.
_PHRASES = frozenset(
    """
    you
    thank you
    thanks
    thank you very much
    thank you for watching
    thanks for watching
    thank you so much for watching
    please subscribe
    please subscribe to my channel
    like and subscribe
    see you next time
    see you in the next video
    bye
    bye bye
    the end
    gracias
    gracias por ver
    gracias por ver el video
    suscríbete
    suscríbete al canal
    merci
    merci d avoir regardé
    merci d avoir regardé cette vidéo
    abonnez vous
    grazie
    grazie per la visione
    grazie per aver guardato
    iscriviti al canale
    danke
    vielen dank
    vielen dank fürs zuschauen
    danke fürs zuschauen
    bis zum nächsten mal
    obrigado
    obrigado por assistir
    inscreva se no canal
    bedankt voor het kijken
    tot de volgende keer
    tack för att ni tittade
    tack för att du tittade
    takk for at du så på
    tak fordi du så med
    kiitos kun katsoit
    dziękuję za uwagę
    dziękuję za oglądanie
    děkuji za pozornost
    köszönöm a figyelmet
    mulțumesc pentru vizionare
    izlediğiniz için teşekkür ederim
    izlediğiniz için teşekkürler
    спасибо
    спасибо за просмотр
    спасибо за внимание
    подписывайтесь на канал
    продолжение следует
    дякую за перегляд
    дякую за увагу
    ευχαριστώ
    σας ευχαριστώ που παρακολουθήσατε
    תודה רבה
    תודה שצפיתם
    شكرا
    شكرا للمشاهدة
    شكرا لكم
    اشتركوا في القناة
    धन्यवाद
    देखने के लिए धन्यवाद
    ขอบคุณที่รับชม
    ขอบคุณครับ
    cảm ơn các bạn đã theo dõi
    hãy đăng ký kênh
    terima kasih telah menonton
    terima kasih
    ご視聴ありがとうございました
    ご清聴ありがとうございました
    チャンネル登録お願いします
    ありがとうございました
    おやすみなさい
    谢谢观看
    谢谢大家
    谢谢收看
    请不吝点赞 订阅 转发 打赏支持明镜与点点栏目
    謝謝觀看
    謝謝大家
    시청해주셔서 감사합니다
    감사합니다
    구독과 좋아요 부탁드립니다
    """.replace("    ", "")
    .strip()
    .splitlines()
)

# Credits name somebody, so they are recognised by their start.
_CREDITS = re.compile(
    r"(?:subtitles? (?:by|created by)|subtitling|captions? by|transcri(?:bed|ption) by|transcript emily|translated by|"
    r"untertitel|sous titr|sous titres|sottotitoli|subtítulos|subtitulado por|legendas|ondertitel|ondertiteling|"
    r"undertexter|undertekster|teksting av|napisy|titulky|felirat|altyazı|субтитры|редактор субтитров|субтитри|"  # noqa: RUF001
    r"ترجمة نانسي|字幕|字幕by|由 amara|amara org|www |copyright)\b",
    re.IGNORECASE,
)


def drop_inventions(segments: Iterable[Segment], speech: Sequence[Span] | None) -> Iterator[Segment]:
    """The segments without those that were made up. `speech`: all that was detected; None: not known, so all stay."""
    for segment in segments:
        if speech is None or _is_heard(segment, speech) or not _is_unsure(segment):
            yield segment


def is_known_invention(text: str) -> bool:
    """Whether models are known to make this text up. It may have been said, too."""
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    return plain in _PLAIN_PHRASES or _CREDITS.match(plain) is not None


def _is_heard(segment: Segment, speech: Sequence[Span]) -> bool:
    start, end = segment.start - SLACK_S, segment.end + SLACK_S
    return seconds_of(between(speech, start, end)) >= HEARD * (end - start)


def _is_unsure(segment: Segment) -> bool:
    if not letters(segment.text):
        return True
    known = is_known_invention(segment.text)
    no_speech, logprob, probability = (
        (KNOWN_NO_SPEECH, KNOWN_LOGPROB, KNOWN_PROBABILITY) if known else (NO_SPEECH, LOGPROB, PROBABILITY)
    )
    words = [word.probability for word in segment.words]
    return (
        segment.no_speech_prob >= no_speech
        or segment.avg_logprob <= logprob
        or (bool(words) and statistics.fmean(words) < probability)
    )


_PLAIN_PHRASES = frozenset(" ".join(re.findall(r"\w+", phrase.casefold())) for phrase in _PHRASES)
