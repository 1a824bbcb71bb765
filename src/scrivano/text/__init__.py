"""From chunk results to clean segments, and from segments to files. Pure.

May import: domain.

Modules, each may import only those below it:

    assembly   chunk results to the segments of a job
    cleanup    each stretch of speech once, times in order
    file_time  times in a chunk to times in the file
    formats    txt, srt, vtt, tsv, json, verbose_json, lrc
    subtitles  readable cues from words with times
"""

__all__ = ["assembly", "formats", "subtitles"]
