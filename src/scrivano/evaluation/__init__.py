"""How good transcripts are, measured against references: error rates, holes, times, and what differs between systems.

May import: comparison, domain.

Modules, each may import only those below it:

    page         the report as one HTML page, with each difference in place
    results      the results of systems as JSON, written and read again
    differences  two systems compared, word by word and by chance
    figures      error rates, holes, coverage and time errors, by language and in all
    scoring      one transcript against its reference, word by word
    normalizers  Whisper's normalizers, by language
    material     recordings and the references beside them
    references   read references: JSON of several programs, SubRip, WebVTT, plain text
"""

__all__ = ["differences", "figures", "material", "normalizers", "page", "results", "scoring"]
