"""The commands. All but `serve` work through the client, against a running server or a temporary one.

May import: auth, client, domain, engines, files, server, telemetry, text.

Modules, each may import only those below it:

    app               the command line: every command, its options and exit codes
    doctor            `doctor` and `models`: what this machine has, and a proof that it works
    keys              `keys`: create, list and revoke API keys
    transcribe        `transcribe`: submit files, show progress, write transcripts
    temporary_server  a server for the time of one command
"""

__all__ = ["app"]
