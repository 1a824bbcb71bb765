"""The composition root: builds the parts of the server in order, runs them, closes them in reverse order.

May import: api, auth, cluster, domain, engines, files, housekeeping, net, processes, running, store, submission,
telemetry, watch, webhooks, wyoming.

Modules, each may import only those below it:

    dispatcher   a process that runs jobs on a Ray cluster
    run          sockets, signals and the exit code
    banner       what a person at a terminal is told when the server starts
    build        create every part
    stores       opens the database
    blob_storage where recordings are stored
    start_checks what would fail only at the first load of a model
    watching     the folder that the server itself watches
    lifespan     what runs in the background while the application serves
    sampling     what the history of the last hour is made from
    gauges       the metrics that are read at each scrape
    devices      which device and models follow from the settings and the machine
    sockets      listening sockets
    http_thread  an HTTP server beside what a process does
    http_server  uvicorn, with protection against slow clients and an orderly shutdown
    request_parser  an HTTP parser that ignores `Upgrade`
    settings     every setting: flags, environment, file
    setting_types what kinds of values they have (pure)
"""

__all__ = ["banner", "blob_storage", "devices", "dispatcher", "run", "settings", "start_checks", "stores"]
