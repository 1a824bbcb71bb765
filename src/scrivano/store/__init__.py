"""The database: the only SQL of the server, and the only truth about jobs.

May import: auth, domain.

Modules, each may import only those below it:

    jobs         jobs, chunks, results, events; attempts and their fence
    uploads      resumable uploads
    outbox       webhook deliveries (the outbox)
    event_log    events of jobs, numbered
    quotas       how much waits, and what a key has used
    idempotency  which earlier job a request repeats
    database     connections, transactions, schema, backup
    tables       the tables as they are now
    migrations   how they came to be, one revision a file
    wake_ups     wake coroutines when something changed
"""

__all__ = ["database", "jobs", "outbox", "uploads", "wake_ups"]
