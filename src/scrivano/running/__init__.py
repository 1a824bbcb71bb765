"""From a stored job to a published transcript.

May import: domain, engines, files, processes, speakers, store, telemetry, text.

Modules, each may import only those below it:

    model_exchange   tells servers the models of a dispatcher
    remote_executor  a server whose jobs dispatchers run
    runner           the thread that decides: which job starts, which chunks are decoded, what is late
    job_runs         the running jobs: feeds each machine, carries out its commands
    job_writes       what they write, as one transaction
    voice_requests   what they ask of the speakers child
    stored_text      the text of a job that is not done
    recordings       when a recording is not needed any more (pure)
    job_run          one attempt at a job as a machine: messages in, commands out (pure)
    job_messages     what happens to such an attempt, and what is to be done about it (pure)
    job_choices      how a job is transcribed: its options, and those of the server (pure)
    speaker_warnings what is to be said of speakers that are not as asked for (pure)
    progress         how far the decoding of a job is (pure)
    chunk_run        one chunk of a running job, and its stored result (pure)
    speaker_run      the speakers of one job (pure)
    model_reports    the state of models as JSON, and of several dispatchers as one (pure)
    engine_pool      which models are loaded on which devices
    engine_slot      one model on one device
    engine_process   one engine child and its batches
    recording_fetches  stored recordings to local files, for media children
    media_process    children that prepare recordings, and their time limits
    voice_process    the child that finds voices and speakers, and what waits for it
    children         how child processes are started
    shared_queue     jobs that wait in a database that several servers share (pure)
    job_queue        jobs that wait in one server (pure)
    scheduler        which chunks form the next batch (pure)
    ageing           which priority class has the turn (pure)
    language         the language of a job and of each chunk (pure)
    workload         what a runner has in hand (pure)
    executor         what runs jobs, as the rest of a server sees it
    model_status     what is shown of a model (pure)
    model_state      when a model loads, waits for memory, and unloads (pure)
    model_event_log  the events of the model, for those who follow them
"""

__all__ = [
    "children",
    "engine_pool",
    "engine_process",
    "engine_slot",
    "executor",
    "job_choices",
    "job_runs",
    "media_process",
    "model_event_log",
    "model_exchange",
    "model_state",
    "remote_executor",
    "runner",
    "stored_text",
]
