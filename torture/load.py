"""Clients that submit jobs all the time and record every acknowledged job."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx2

# Longer than any restart of a server.
GIVE_UP_S = 120.0


class Load:
    """`acknowledged`: which recording each job is of, by the job's id, from the moment that a client has read its 202.

    A submission that was not answered is sent again under the same key until it is; so there are as many jobs as
    acknowledged ones, whenever no submission is under way.
    """

    def __init__(
        self, url: Callable[[], str], recordings: Sequence[Path], webhook_url: str, busy: Callable[[], bool], seed: int
    ) -> None:
        """`url`: returns the current URL of the server. `busy`: returns whether it has enough jobs."""
        self.acknowledged: dict[str, Path] = {}
        self.refused: list[str] = []
        self._url = url
        self._recordings = recordings
        self._form = {"queue": "true", "webhook_url": webhook_url}
        self._busy = busy
        self._seed = seed
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, clients: int) -> None:
        for number in range(clients):
            self._threads.append(threading.Thread(target=self._run, args=(number,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Wait until every client has its last response."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        lot, count = random.Random(f"{self._seed} {number}"), 0
        while not self._over.is_set():
            if self._busy():
                time.sleep(0.05)
                continue
            count += 1
            self._submit(lot.choice(self._recordings), f"{self._seed}-{number}-{count}")

    def _submit(self, recording: Path, key: str) -> None:
        patience = time.monotonic() + GIVE_UP_S
        while time.monotonic() < patience:
            with suppress(httpx2.HTTPError):
                answer = httpx2.post(
                    f"{self._url()}/jobs",
                    files={"audio": (recording.name, recording.read_bytes())},
                    data=self._form,
                    headers={"Idempotency-Key": key},
                    timeout=60.0,
                )
                if answer.status_code == 202:
                    self.acknowledged[answer.json()["job_id"]] = recording
                    return
                self.refused.append(f"{answer.status_code} {answer.text}")
            time.sleep(0.05)
        self.refused.append(f"{recording.name}: no answer within {GIVE_UP_S:g} s")
