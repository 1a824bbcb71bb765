"""What is to be said of the speakers of a job that are not as it asked for. Pure."""

from __future__ import annotations

from scrivano.domain.job import JobOptions
from scrivano.domain.recording import RecordingWarning
from scrivano.domain.speakers import Diarization, SpeakerCount

__all__ = ["fewer_speakers", "speaker_warnings"]

# Characters of a warning.
LONGEST_MESSAGE = 500


def fewer_speakers(found: Diarization, count: SpeakerCount | None) -> tuple[RecordingWarning, ...]:
    """A warning, if the job asks for more. None without speech; speakers whom people have merged count as several."""
    told_apart = len({speaker.id for speaker in found.speakers} | {*found.merged_from})
    wanted = 0 if count is None else count.exactly or count.least
    if not 0 < told_apart < wanted:
        return ()
    message = f"fewer speakers were told apart than asked for: {told_apart} of {wanted}"
    return (RecordingWarning(code="fewer_speakers", message=message),)


def speaker_warnings(
    options: JobOptions, failure: str | None, *, sides: int = 1, keeps_voices: bool = True
) -> tuple[RecordingWarning, ...]:
    """`failure`: why the speakers could not be told apart; None: they were, or nobody asked for them. `sides`: if there
    are several, each channel or track is a speaker."""
    warnings = []
    if sides > 1 and not _allows(options, sides):
        message = (
            f"the number of speakers had no effect, because each of {sides} channels is a speaker; send channels=mix to"
            " have so many found"
        )
        warnings.append(RecordingWarning(code="num_speakers_not_used", message=message))
    if options.voices and not keeps_voices:
        message = "no enrolled voices were looked for, because this server keeps none; its operator can set VOICES=true"
        warnings.append(RecordingWarning(code="voices_not_used", message=message))
    elif options.voices and sides > 1:
        message = (
            "no enrolled voices were looked for, because each channel is a speaker; send channel_names for their names,"
            " or channels=mix to find voices"
        )
        warnings.append(RecordingWarning(code="voices_not_used", message=message))
    if unheard := _unheard(options):
        names = ", ".join(unheard)
        message = f"the server failed to find the voice in the sample of {names}; send the request again for the name"
        warnings.append(RecordingWarning(code="known_speakers_not_heard", message=message[:LONGEST_MESSAGE]))
    if failure is not None:
        without = "" if options.is_voice_sample else "; the transcript is complete without them"
        message = f"the speakers could not be told apart ({failure}){without}"
        warnings.append(RecordingWarning(code="no_speakers", message=message[:LONGEST_MESSAGE]))
    return tuple(warnings)


def _allows(options: JobOptions, speakers: int) -> bool:
    """Whether so many are what the job asks for."""
    least, most = options.min_speakers or 1, options.max_speakers or speakers
    return speakers == options.num_speakers if options.num_speakers else least <= speakers <= most


def _unheard(options: JobOptions) -> list[str]:
    """The known speakers without a voice."""
    pairs = zip(options.known_speakers or (), options.known_samples or (), strict=False)
    return [name for name, sample in pairs if not sample]
