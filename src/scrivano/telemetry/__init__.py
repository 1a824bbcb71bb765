"""What happens, for operators: events, log, metrics, traces.

May import: domain.

Modules, each may import only those below it:

    traces       OpenTelemetry spans from events
    metrics      Prometheus counters from events
    events       what happened, as values
    log          log lines as JSON
    log_context  which request and job a log line concerns
"""

__all__ = ["events", "log", "log_context", "metrics", "traces"]
