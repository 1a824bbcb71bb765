"""A server with a scripted engine and a GPU that does not exist: `python server.py DATA_DIR MEMORY_FILE ORDERS`.

MEMORY_FILE has the free megabytes of its 8000; ORDERS are those of `engine.py`.
"""

import json
import sys
from pathlib import Path

from scrivano.engines.gpu_memory import GpuMemory
from scrivano.server.build import ChildCommands
from scrivano.server.run import run
from scrivano.server.settings import Settings
from scrivano.telemetry import log as logs

# Long enough for a test to check the state before the next attempt, even on a busy machine.
POLL_S = 4


class FileMemory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, index: int) -> GpuMemory | None:
        free_mb = int(self._path.read_text())
        return GpuMemory(name="Scripted 8000", total_mb=8000, used_mb=8000 - free_mb, free_mb=free_mb)

    def by_process(self, index: int) -> dict[int, int]:
        return {}

    def host_free_mb(self) -> int | None:
        return None

    def close(self) -> None:
        pass


def main() -> None:
    data_dir, memory, orders = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    json.loads(orders)
    engine = [sys.executable, str(Path(__file__).parent / "engine.py"), str(data_dir), orders]
    logs.configure("info")
    settings = Settings.load(
        {"data_dir": data_dir, "port": 0, "whisper_model": "large-v3", "gpu_poll_interval_secs": POLL_S}
    )
    run(settings, ChildCommands(engine=engine), FileMemory(memory))


main()
