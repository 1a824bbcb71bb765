"""Speech models behind one protocol. Adapters run in the engine child (`python -m scrivano.engines.worker`).

May import: domain, processes.

Modules, each may import only those below it:

    worker          the engine child: load, decode, answer
    ct2             Whisper through CTranslate2
    whisper_cpp     Whisper through whisper.cpp, for GGML files
    words           words with times from an alignment (pure)
    decoding_rules  Whisper's rules over decoded tokens (pure)
    failures        what an exception of a model library means
    model_files     from disk, the hub cache, or a download
    catalog         which models a name can mean, and the memory that they need
    gpu_memory      free and used memory of GPUs (NVML)
    cpu_tuning      what makes decoding on a CPU faster: allocator, instruction set, idle threads
    shared_model    one model used by several threads, urgent ones first
    engine          the Engine protocol and its values
"""

__all__ = ["catalog", "gpu_memory"]
