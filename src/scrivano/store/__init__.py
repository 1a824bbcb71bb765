"""The database: the only SQL of the server, and the single source of truth about jobs.

May import: auth, domain.

Modules, each may import only those below it:

    snapshot         a consistent copy of a database that may be in use
    copying          all jobs from one database to another one
    notices          what servers that share a database tell each other
    sharing          what they must agree on
    dispatchers      what dispatchers and servers tell each other about models
    imports          ended jobs of another server
    jobs             jobs, chunks, results, events: accepting, attempts, and the end
    job_queries      what is read of jobs
    transcript_edits corrected segments, names of speakers
    versions         a job's recording transcribed again
    decoded          what is known of a job after a chunk was decoded
    chunk_rows       the rows of a job's chunks
    diarizations     the speakers of jobs
    voices           voices that people have enrolled, or sent with a job
    uploads          resumable uploads
    outbox           webhook deliveries
    event_log        events of jobs, numbered
    search           the text of transcripts, as it is searched
    quotas           limits on waiting jobs, and on the jobs and audio of each API key
    idempotency      the earlier job that a request repeats
    job_rows         the rows of jobs, and the fence of attempts
    postgres         the database as a PostgreSQL server
    sqlite           the database as a file
    database         connections and transactions: the interface of both
    tables           the current tables
    migrations       the history of the schema, one revision a file
    wake_ups         wake coroutines after a change
"""

__all__ = [
    "chunk_rows",
    "copying",
    "database",
    "dispatchers",
    "imports",
    "jobs",
    "notices",
    "outbox",
    "postgres",
    "sharing",
    "snapshot",
    "sqlite",
    "uploads",
    "voices",
    "wake_ups",
]
