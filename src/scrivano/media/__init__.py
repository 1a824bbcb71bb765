"""Any recording to 16 kHz mono, speech and chunks. Runs in the media child (`python -m scrivano.media.child`).

May import: domain, processes.

Modules, each may import only those below it:

    child         decode a recording within limits and send its chunks
    vad           how likely each 32 ms is speech (Silero)
    chunking      speech probabilities to spans and chunks (pure)
    onnx_graph    an ONNX model in two halves
    parallel_map  several threads over one ordered stream
"""

__all__ = []
