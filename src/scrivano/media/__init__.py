"""Any recording to 16 kHz mono, speech and chunks. Runs in the media child (`python -m scrivano.media.child`).

May import: domain, processes.

Modules, each may import only those below it:

    child          decode a recording within limits, and send its chunks
    limits         memory, CPU time, file size and open files of this process
    recording      an untrusted file, decoded to 16 kHz mono
    prepared_file  the file of prepared audio
    silero_vad     the probability of speech in each 32 ms
    loudness       in place of it, where everything counts as speech
    chunking       speech probabilities to spans and chunks (pure)
    parallel_map   several threads over one ordered stream
"""

__all__ = []
