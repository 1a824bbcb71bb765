"""One machine with PostgreSQL instead of SQLite: jobs a second, and processor time a job.

    python -m benchmarks.databases [--jobs 200] [--rounds 3]

Two servers with the bundled model take turns. Four clients submit short clips; a turn ends when all of them are
transcribed. PostgreSQL is a private one on a socket, and, like SQLite, it writes through to the disk.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, material
from benchmarks.figures import Figure, at_least, ratio, table
from benchmarks.machine import cpu_seconds, tree_cpu_seconds
from benchmarks.servers import Scrivano, scrivano
from scrivano.cli.local_cluster import temporary_folder
from scrivano.cli.local_postgres import Postgres, private_postgres

CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """`wall_s`: for all jobs. `server_s`, `database_s`, `all_s`: processor time of the server's own process, of
    PostgreSQL's, and of all processes, engine and media children included."""

    jobs: int
    wall_s: float
    server_s: float
    database_s: float
    all_s: float


def _turn(server: Scrivano, postgres: Postgres | None, clip: Path, jobs: int) -> Turn:
    def spent() -> tuple[float, float, float]:
        database = tree_cpu_seconds(postgres.pid) if postgres else 0.0
        return cpu_seconds(server.pid), database, server.cpu_seconds() + database

    before, began = spent(), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        job_ids = list(clients.map(lambda _: server.submit(clip, language="en"), range(jobs)))
    for job_id in job_ids:
        server.ended(job_id)
    wall_s = time.monotonic() - began
    return Turn(jobs, wall_s, *(end - start for start, end in zip(before, spent(), strict=True)))


def _figures(sqlite: list[Turn], postgres: list[Turn]) -> Iterator[Figure]:
    for name, turns in (("SQLite", sqlite), ("PostgreSQL", postgres)):
        parts = {
            part: 1000 * statistics.median(getattr(turn, part) / turn.jobs for turn in turns)
            for part in ("server_s", "database_s", "all_s")
        }
        rate = statistics.median(turn.jobs / turn.wall_s for turn in turns)
        yield Figure(group=name, name="jobs a second", value=rate)
        yield Figure(
            group=name,
            name="processor time of server and database for a job",
            value=parts["server_s"] + parts["database_s"],
            unit="ms",
            detail=f"database {parts['database_s']:.2f} ms; with the model and the media child {parts['all_s']:.1f} ms",
        )
    yield Figure(
        group="ratio",
        name="jobs a second, PostgreSQL / SQLite",
        value=ratio([turn.jobs / turn.wall_s for turn in postgres], [turn.jobs / turn.wall_s for turn in sqlite]),
        goal=at_least(0.8),
    )
    yield Figure(
        group="ratio",
        name="jobs for a second of all processor time, PostgreSQL / SQLite",
        value=ratio([turn.jobs / turn.all_s for turn in postgres], [turn.jobs / turn.all_s for turn in sqlite]),
        goal=at_least(0.8),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares the databases of one machine.")
    parser.add_argument("--jobs", type=int, default=200, help="in each turn")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(machine.describe())
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        clip = material.clip(folder / "clip.wav")
        postgres = stack.enter_context(private_postgres(folder / "postgres", durable=True))
        own = stack.enter_context(scrivano())
        recordings = folder / "recordings"
        recordings.mkdir()
        shared = stack.enter_context(scrivano(DATABASE_URL=postgres.url, BLOB_URL=recordings.as_uri()))
        turns: tuple[list[Turn], list[Turn]] = ([], [])
        for number in range(arguments.rounds + 1):
            for taken, server, database in ((turns[0], own, None), (turns[1], shared, postgres)):
                turn = _turn(server, database, clip, arguments.jobs)
                if number:  # the first turns warm up
                    taken.append(turn)
        print(table(list(_figures(*turns))))


if __name__ == "__main__":
    main()
