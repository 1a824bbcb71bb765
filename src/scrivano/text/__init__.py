"""Chunk results to clean segments, and segments to files. Pure.

May import: domain.

Modules, each may import only those below it:

    assembly     chunk results to the segments of a job
    inventions   text that a model made up where nobody spoke
    cleanup      each stretch of speech once, times in order
    exchange     what the sides of a conversation say, as one transcript
    file_time    times in a chunk to times in the file
    corrections  a person's text in place of the model's
    formats      txt, srt, vtt, tsv, json, verbose_json, lrc, rttm
    subtitles    readable cues from words with times
    atoms        the parts of a text between which a line may break
    shape        the limits of readable subtitles
    cue          the text and times of a cue
    punctuation  ends of sentences and clauses
"""

__all__ = ["assembly", "corrections", "formats", "shape", "subtitles"]
