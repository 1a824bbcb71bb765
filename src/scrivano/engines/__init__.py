"""Speech models behind one protocol, `Engine`. They run in the engine process (`python -m scrivano.engines.worker`).

An engine is the window loop with an adapter: the loop has Whisper's rules, an adapter runs the model of one library.

May import: domain, processes.

Modules, each may import only those below it:

    worker          the engine process: receives requests, sends results
    ct2             the adapter for CTranslate2
    whisper_cpp     the adapter for whisper.cpp (GGML files)
    window_loop     decodes chunks window by window, with any adapter
    adapter         the Adapter protocol and its values
    repair          which stretches to decode again, and what becomes of both texts (pure)
    unsaid          segments without word times around speech that they leave out (pure)
    onsets          words next to a pause (pure)
    pauses          pauses in audio, by its loudness (pure)
    words           words with times from an alignment (pure)
    decoding_rules  Whisper's rules over decoded tokens (pure)
    failures        classifies the exceptions of model libraries
    model_files     a model's files: on disk, in the hub's cache, or downloaded
    model_path      checks a model on disk without loading it
    windows         how long windows and chunks are, by model and device
    catalog         the models that a name can mean, and the memory that they need
    ggml            checks that a file is a complete GGML model
    ct2_file        whether the file of a CTranslate2 model is complete, and the width of the model
    gpu_memory      free and used memory of GPUs (NVML)
    cpu_tuning      settings that make decoding on a CPU faster
    engine          the Engine protocol and its values
"""

__all__ = ["catalog", "ggml", "gpu_memory", "model_path", "windows"]
