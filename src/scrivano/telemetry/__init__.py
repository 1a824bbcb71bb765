"""What operators see of the server: log, metrics, traces, and the events that feed them.

May import: domain.

Modules, each may import only those below it:

    traces       OpenTelemetry spans from events
    metrics      Prometheus counters and gauges
    history      the last hour in samples
    events       what the server has done, as values
    log          log lines as JSON
    log_context  the request and the job that a log line shows
"""

__all__ = ["events", "history", "log", "log_context", "metrics", "traces"]
