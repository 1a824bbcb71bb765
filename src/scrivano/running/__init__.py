"""From a stored job to a published transcript.

May import: domain, engines, files, processes, store, telemetry, text.

Modules, each may import only those below it:

    loop            the thread that decides: which job begins, which chunks are decoded, what is late
    attempts        jobs that run: prepared, decoded, assembled, published
    open_job        the state of a running job
    engine_pool     which models are loaded on which devices
    engine_process  one engine child and its batches
    media_process   children that prepare recordings
    job_queue       jobs that wait
    scheduler       which chunks form the next batch (pure)
    language        the language of a job and of each chunk (pure)
    model_state     the life of a model (pure)
"""

__all__ = ["attempts", "engine_pool", "engine_process", "loop", "media_process", "model_state"]
