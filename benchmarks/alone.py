"""An engine alone in a process: `python -m benchmarks.alone FOLDER SECONDS` prints JSON.

It applies `ENGINE_MALLOC` and uses AVX-512 as the server's engine process does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scrivano.engines.cpu_tuning import cpu_info, enable_avx512, tune_allocator

ROUNDS = 9


def measure(folder: Path, seconds: float, malloc: str = "tuned") -> dict[str, list[float]]:
    """Seconds of each round: `encode`: one window in CTranslate2; `decode`: one window with this much speech."""
    command = [sys.executable, "-m", "benchmarks.alone", str(folder), str(seconds)]
    environment = {**os.environ, "ENGINE_MALLOC": malloc}
    found: dict[str, list[float]] = json.loads(
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    )
    return found


def main(folder: Path, seconds: float) -> None:
    tune_allocator(os.environ["ENGINE_MALLOC"])  # Before the imports that start threads.
    enable_avx512(os.environ, cpu_info())
    import ctranslate2
    import numpy as np

    from benchmarks.load import timed
    from benchmarks.material import SAMPLE_RATE, bundled_speech
    from scrivano.domain.decoding import DecodingOptions
    from scrivano.engines.ct2.adapter import Ct2Adapter
    from scrivano.engines.engine import AudioChunk, LoadOptions
    from scrivano.engines.window_loop import WindowLoop

    def rounds(work: Callable[[], object]) -> list[float]:
        work()
        return [timed(work) for _ in range(ROUNDS)]

    model = ctranslate2.models.Whisper(str(folder), compute_type="int8")
    sound = np.random.default_rng(1).standard_normal((1, 80, 3000)).astype(np.float32)
    features = ctranslate2.StorageView.from_array(sound)
    encode = rounds(lambda: np.array(model.encode(features, to_cpu=True)))
    model.unload_model()
    engine = WindowLoop(Ct2Adapter, LoadOptions(path=folder, compute_type="int8"))
    speech = bundled_speech()[: int(seconds * SAMPLE_RATE)].astype(np.float32) / np.float32(32768)
    chunk = AudioChunk(audio=speech, language=None)
    decode = rounds(lambda: engine.decode([chunk], DecodingOptions()))
    print(json.dumps({"encode": encode, "decode": decode}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
