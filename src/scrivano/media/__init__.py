"""Any recording to 16 kHz mono, speech and chunks. Runs in the media child (`python -m scrivano.media.child`).

May import: domain, processes.

Modules, each may import only those below it:

    child          decode a recording within limits, and send its chunks
    sides          whether to read a recording as one, or each channel or track for itself
    track_search   which tracks of a file have speech, and which of them belong together
    simultaneous   whether two tracks belong together (pure)
    limits         memory, CPU time, file size and open files of this process
    recording      an untrusted file, decoded to 16 kHz mono, and what is to be said about it
    leak           the far voice on a side of a call, silenced (pure)
    mixdowns       one channel of several whose content is known (pure)
    channels       what the channels of a recording are (pure)
    excerpts       what is heard at several places of an open file
    track_reader   one audio track of an open container, on the container's clock
    mixer          decoded frames of any kind to 16 kHz mono
    tempo          faster or slower at the same pitch
    source         an untrusted file, opened with FFmpeg
    truncation     whether a file was cut off
    joined         where recordings begin in a file that several were joined to
    ogg            the links of a chained Ogg file
    signatures     what a file claims to be, by its first bytes and its name
    tracks         which audio track to transcribe (pure)
    clock          where each frame belongs on the file's clock (pure)
    downmix        channels to one that is never much quieter than the loudest (pure)
    level          float audio of any level to 16 bits (pure)
    peaks          the outline of a recording (pure)
    prepared_file  the file of prepared audio
    quiet          quiet stretches, amplified for the detection of speech (pure)
    silero_vad     the probability of speech in each 32 ms
    loudness       in place of it, where everything counts as speech
    chunking       speech probabilities to spans and chunks (pure)
    parallel_map   several threads over one ordered stream
"""

__all__ = []
