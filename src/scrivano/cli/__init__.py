"""The commands. `transcribe`, `doctor` and `demo` use the client, with a running server or a temporary one.

May import: auth, backup, client, cluster, domain, engines, evaluation, files, server, submission, telemetry, text,
watch.

Modules, each may import only those below it:

    app               the command line: puts the commands together
    cluster           `cluster demo`: a whole cluster on this machine, for a while
    data              `backup`, `restore` and `migrate`: the data folder as a whole
    demo              `demo`: transcribe the bundled recording
    evaluate          `evaluate`: its options, its recordings and its systems
    doctor            `doctor`: check this machine
    keys              `keys`: create, list and revoke API keys
    models            `models`: list, download and remove models
    watch             `watch`: transcribe the recordings of a folder as they arrive
    service           `service`: keep the server running, with systemd or launchd
    settings          `settings`: list them
    transcribe        `transcribe`: its options, its files and its server
    service_options   the options of the server that a service is installed with
    serve             `serve`, `wyoming` and `dispatcher`: run a server, or what works for several
    checks            what `doctor` checks
    evaluation        transcribe recordings with several systems, and report how good they are
    evaluated_systems  the systems that are compared (pure)
    evaluation_tables  their figures as tables
    evaluation_outputs  the files that are written about them
    bench             how fast this machine transcribes
    transcription     submit files, show progress, write transcripts
    model_wait        wait for the model of a server
    chosen_server     the server that a command uses
    model_download    download a model, from where an earlier download stopped
    model_cache       the models in the hub's cache, and what the hub has of a model
    remote_transcriber  a server elsewhere, as the watcher uses it
    service_files     the files of a service (pure)
    local_cluster     servers, dispatchers and an S3 server on this machine, for a while
    local_postgres    a PostgreSQL on it
    local_ray         a Ray cluster on it
    local_program     a program on it
    temporary_server  a server for the duration of one command
    job_options       options that several commands have
    console           error messages and exit codes
"""

__all__ = ["app"]
