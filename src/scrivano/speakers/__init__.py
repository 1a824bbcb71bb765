"""Who spoke when. Runs in the speakers child (`python -m scrivano.speakers.child`), except `words` and `spool`.

Voices are found chunk by chunk, and stored; speakers are told apart on what is stored. Every step is deterministic.

May import: domain, processes.

Modules, each may import only those below it:

    child          the speakers child: receives requests, sends voices and speakers
    naming         stored voices to speakers with ids and names, and their turns (pure)
    timeline       centres of speakers to turns (pure)
    clustering     stored voices to the centres of speakers (pure)
    linkage        average linkage over groups of vectors (pure)
    analysis       audio to voices: runs the two networks
    chunk_voices   what is stored of the voices in a chunk
    embedding      audio to voice vectors
    segmentation   the segmentation network's output to speech and changes of the voice (pure)
    fbank          Kaldi's filter bank features (pure)
    spool          a file with the voices of every chunk
    words          turns to the speakers of words and segments (pure)
"""

__all__ = ["spool", "words"]
