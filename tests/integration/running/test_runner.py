"""The runner with a real store, real files and real child processes that crash, hang and lie."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from runner_bench import SECOND, TEXTS, THREE, Bench, bench
from served import until

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.job import JobStatus
from scrivano.processes.child import Exited, Received, Spawned
from scrivano.processes.messages import EngineMessage, Load
from scrivano.running.engine_process import EngineLimits, EngineProcess
from scrivano.running.media_process import MediaLimits, MediaProcess
from scrivano.running.model_state import ModelState, Policy
from scrivano.running.scheduler import WorkItem


def test_a_job_runs_through_to_its_transcript(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        job_id = it.submit()
        job = it.ended(job_id)

        assert (job.status, job.language, job.progress, job.duration_secs) == (JobStatus.DONE, "en", 100, 60.0)
        assert it.texts(job_id) == TEXTS
        until(lambda: not list((tmp_path / "uploads").glob(job_id)) and not list((tmp_path / "prepared").iterdir()))


def test_until_the_language_is_known_only_the_first_chunk_is_decoded(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.ended(it.submit())

        first, *others = [chunk for batch in it.batches for chunk in batch]
        assert (len(it.batches[0]), first["language"]) == (1, None)
        assert {chunk["language"] for chunk in others} == {"en"}


# Language probabilities of the chunks of `THREE`: English by vote, though the first one sounds Italian.
UNSURE: dict[str, dict[str, float]] = {
    "0": {"it": 0.55, "en": 0.45},
    str(20 * SECOND): {"en": 0.7, "it": 0.3},
    str(40 * SECOND): {"en": 0.75, "it": 0.25},
}


def told(it: Bench, job_id: str) -> list[Mapping[str, Any]]:
    """The language and its probability in each `language` event."""
    log = [event.data for event in it.store.events_after(job_id, 0) if event.type == "language"]
    return [{name: data[name] for name in ("language", "probability")} for data in log]


def test_an_unsure_first_chunk_is_outvoted_and_decoded_again(tmp_path: Path) -> None:
    with bench(tmp_path, languages=UNSURE, decode=["told", "ok"]) as it:
        job_id = it.submit([*THREE, [60 * SECOND, 80 * SECOND]])
        it.planned(job_id)
        it.tell()
        job = it.ended(job_id)

        assert job.language == "en"
        assert told(it, job_id) == [{"language": "en", "probability": round((0.45 + 0.7 + 0.75) / 3, 4)}]
        assert it.texts(job_id) == [text for text, _, _ in it.segment_events(job_id)] == [*TEXTS, f"from {60 * SECOND}"]
        asked = [[(chunk["pieces"][0][0] // SECOND, chunk["language"]) for chunk in batch] for batch in it.batches]
        assert asked == [[(0, None)], [(20, None), (40, None)], [(0, "en"), (60, "en")]]


@pytest.mark.parametrize("options", [{}, {"multilingual": True}])
@pytest.mark.parametrize("decoded", [1, 2, 3, 4])
def test_a_resumed_job_comes_to_the_same_languages(tmp_path: Path, decoded: int, options: Mapping[str, Any]) -> None:
    """Wherever it breaks off: before the vote, after it, while a chunk is decoded again."""
    chunks, languages = [*THREE, [60 * SECOND, 80 * SECOND]], {**UNSURE, str(60 * SECOND): {"it": 0.99, "en": 0.01}}
    alone = {"batch_size": 1}
    for name in ("undisturbed", "disturbed"):
        (tmp_path / name).mkdir()
    with bench(tmp_path / "undisturbed", options=alone, languages=languages) as it:
        job_id = it.submit(chunks, options=options)
        expected = (it.ended(job_id).language, it.texts(job_id), it.segment_events(job_id), told(it, job_id))
    folder = tmp_path / "disturbed"
    with bench(folder, options=alone, languages=languages, decode=["ok"] * decoded + ["hang"]) as it:
        job_id = it.submit(chunks, options=options)
        until(lambda: len(it.batches) > decoded)

    with bench(folder, options=alone, languages=languages) as it:
        assert (it.ended(job_id).language, it.texts(job_id), it.segment_events(job_id), told(it, job_id)) == expected


def test_a_multilingual_job_has_a_language_for_each_chunk(tmp_path: Path) -> None:
    languages = {
        "0": {"en": 0.9},
        str(20 * SECOND): {"it": 0.55, "en": 0.45},
        str(40 * SECOND): {"it": 0.4, "fr": 0.39},
    }
    starts = [60, 80, 100, 120]
    languages |= {str(start * SECOND): {"it": 0.9, "en": 0.1} for start in starts}
    with bench(tmp_path, languages={**languages, str(60 * SECOND): {"en": 0.5, "it": 0.45}}) as it:
        job_id = it.submit(
            [*THREE, *([start * SECOND, (start + 20) * SECOND] for start in starts)],
            options={"multilingual": True, "languages": ["en", "it", "fr"]},
        )
        job = it.ended(job_id)

        assert {tuple(chunk["languages"]) for batch in it.batches for chunk in batch} == {("en", "it", "fr")}
        segments = json.loads(it.store.get_result(job_id) or b"[]")
        assert [segment["language"] for segment in segments] == ["en", "it", "it", "it", "it", "it", "it"]
        assert [segment["text"].endswith(" in it") for segment in segments] == [False, *[True] * 6]
        assert (job.language, told(it, job_id)) == ("it", [{"language": "en", "probability": 0.9}])
        log = [event.data for event in it.store.events_after(job_id, 0) if event.type == "segment"]
        assert [(one["index"], one["language"]) for one in log] == [(n, s["language"]) for n, s in enumerate(segments)]


def test_a_short_recording_tells_its_language_when_there_is_no_more_of_it(tmp_path: Path) -> None:
    with bench(tmp_path, languages={"0": {"it": 0.55, "en": 0.45}}) as it:
        job_id = it.submit([[0, 2 * SECOND]])

        assert it.ended(job_id).language == "it"
        assert told(it, job_id) == [{"language": "it", "probability": 0.55}]
        assert it.texts(job_id) == [text for text, _, _ in it.segment_events(job_id)] == ["from 0 in it"]


NONSENSE = ["nonsense", "few", "other id", "no fields", "not a number", "out of range", "backwards"]


@pytest.mark.parametrize("fault", ["crash", "kill", "device", *NONSENSE])
def test_work_goes_on_after_an_engine_is_lost(tmp_path: Path, fault: str) -> None:
    with bench(tmp_path, decode=["ok", fault, "ok"]) as it:
        job_id = it.submit()

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS


def test_a_hanging_engine_is_killed_at_its_deadline(tmp_path: Path) -> None:
    with bench(tmp_path, options={"limits": EngineLimits(chunk_s=5)}, decode=["hang", "ok"]) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE


def test_an_engine_that_hangs_is_killed_long_before_the_limit_once_its_pace_is_known(tmp_path: Path) -> None:
    limits = EngineLimits(chunk_s=600, least_s=5, slack=10)
    with bench(tmp_path, options={"limits": limits}, decode=["ok", "hang", "ok"], secs=0.01) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE
        assert len(it.batches) > 2


def test_whoever_was_stopped_himself_takes_nobody_for_late(tmp_path: Path) -> None:
    limits = EngineLimits(chunk_s=600)
    host = EngineProcess(lambda: Spawned([]), Load(), limits, lambda news: None)
    preparation = MediaProcess("a", None, None, MediaLimits(stall_s=60, timeout_s=3600))  # type: ignore[arg-type]
    host.load_progressed()
    before = (host.deadline or 0, preparation.deadline)

    host.postpone(500)
    preparation.postpone(500)

    assert (host.deadline, preparation.deadline) == (before[0] + 500, before[1] + 500)
    host.loaded(0.0)
    host.postpone(1)
    assert host.deadline is None


@pytest.mark.parametrize(("warm_up_s", "seconds"), [(0.0, 600), (0.03, 60), (1.0, 100), (20.0, 600)])
def test_the_deadline_of_the_first_batch_follows_the_warm_up(warm_up_s: float, seconds: float) -> None:
    said: list[Received[EngineMessage] | Exited[EngineMessage]] = []
    host = EngineProcess(lambda: Spawned([sys.executable, "-c", "input()"]), Load(), EngineLimits(), said.append)
    host.start()
    host.loaded(warm_up_s)

    began = time.monotonic()
    host.decode([WorkItem("a", 0, 1.0)], DecodingOptions(), [])
    given = time.monotonic()
    deadline = host.deadline
    host.kill()

    assert deadline is not None
    assert began + seconds <= deadline <= given + seconds


@pytest.mark.parametrize(
    ("slowest_s", "chunks", "seconds"),
    [(0, 4, 2400), (0.1, 4, 60), (1.0, 4, 100), (30, 1, 600), (30, 16, 9600)],
    ids=["nothing known", "fast", "usual", "very slow", "very slow and large"],
)
def test_the_deadline_of_a_batch_follows_the_slowest_so_far(slowest_s: float, chunks: int, seconds: float) -> None:
    assert EngineLimits().batch_s(chunks, slowest_s) == seconds


def test_an_engine_that_is_slower_than_ever_is_not_killed(tmp_path: Path) -> None:
    """Ten times as slow as any batch before: chunks differ by that much."""
    limits = EngineLimits(chunk_s=600, least_s=0.3, slack=60)
    with bench(
        tmp_path, options={"limits": limits, "batch_size": 1}, decode=["ok", "slow", "very slow"], secs=0.1
    ) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE
        assert len(set((tmp_path / "processes").read_text().split())) == 1


@pytest.mark.parametrize("fault", ["nonsense", "hang", "not a number"])
def test_a_chunk_over_which_two_engines_go_wrong_fails_its_job_with_a_reason(tmp_path: Path, fault: str) -> None:
    with bench(tmp_path, decode=[fault, fault, "ok"]) as it:
        job_id = it.submit()
        for begun in (1, 2) if fault == "hang" else ():
            until(lambda begun=begun: len(it.batches) == begun)  # type: ignore[misc]
            it.let_time_pass()
        job = it.ended(job_id)

        assert (job.status, job.error_code) == (JobStatus.FAILED, "engine_crashed")
        assert it.ended(it.submit()).status is JobStatus.DONE


def test_a_hanging_load_is_given_up_and_tried_again(tmp_path: Path) -> None:
    with bench(tmp_path, options={"limits": EngineLimits(load_s=3)}, load=["hang", "ok"]) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE


def test_a_chunk_that_ends_two_engines_fails_its_job_alone(tmp_path: Path) -> None:
    poison = [[7 * SECOND, 9 * SECOND]]
    with bench(tmp_path, poison=poison) as it:
        good, bad, other = it.submit(), it.submit(poison), it.submit()

        assert it.ended(bad).status is JobStatus.FAILED
        assert it.ended(bad).error_code == "engine_crashed"
        assert "SIGSEGV" in (it.ended(bad).error or "")
        for job_id in (good, other):
            assert it.ended(job_id).status is JobStatus.DONE
            assert it.texts(job_id) == TEXTS


def test_a_chunk_that_cannot_be_decoded_fails_its_job_with_the_reason(tmp_path: Path) -> None:
    with bench(tmp_path, decode=["input"]) as it:
        job = it.ended(it.submit())

        assert (job.status, job.error_code) == (JobStatus.FAILED, "engine_input")
        assert "ordered to fail with input" in (job.error or "")
        assert it.state is ModelState.READY


def test_a_full_device_gets_smaller_batches_then_no_beam_then_waits_for_memory(tmp_path: Path) -> None:
    decode = ["told", "memory", "memory", "ok", "memory", "ok"]
    with bench(tmp_path, decode=decode, options={"decoding": DecodingOptions(beam_size=5, word_timestamps=True)}) as it:
        job_id = it.submit()
        it.planned(job_id)
        it.tell()

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS
        assert [len(batch) for batch in it.batches] == [1, 2, 1, 1, 1, 1]
        options = [json.loads(line) for line in (tmp_path / "options").read_text().splitlines()]
        assert [given["beam_size"] for given in options] == [5, 5, 5, 1, 1, 5]
        assert all(given["word_timestamps"] for given in options)
        announced = [type for type, _ in it.announced]
        assert announced == ["model_loading", "model_ready", "model_waiting_for_gpu", "model_loading", "model_ready"]


def test_without_free_memory_the_model_waits_until_there_is_some(tmp_path: Path) -> None:
    with bench(tmp_path, free_mb=512) as it:
        job_id = it.submit()
        life = until(it.waiting)
        assert life is not None
        assert (life.vram_needed_mb, life.vram_free_mb) == (4000, 512)
        assert it.store.get_job(job_id).status is JobStatus.QUEUED
        assert not (tmp_path / "loads").exists()

        it.memory.free_mb = 6000

        assert it.ended(job_id).status is JobStatus.DONE
        waiting = next(dict(data) for type, data in it.announced if type == "model_waiting_for_gpu")
        assert waiting.pop("retry_in_secs") in (0, 1)  # what is left of 0.2 s, rounded up
        assert waiting == {"type": "model_waiting_for_gpu", "vram_needed_mb": 4000, "vram_free_mb": 512}


def test_a_load_that_is_tried_again_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "scrivano.running.engine_pool")
    with bench(tmp_path, load=["memory", "memory", "memory", "ok"]) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE

    states = [record.getMessage() for record in caplog.records if record.getMessage().startswith("model ")]
    assert states[:3] == ["model loading", "model waiting_for_gpu", "model ready"]


def test_a_load_that_runs_out_of_memory_waits_and_is_tried_again(tmp_path: Path) -> None:
    with bench(tmp_path, load=["memory", "memory", "ok"]) as it:
        assert it.ended(it.submit()).status is JobStatus.DONE
        types = [type for type, _ in it.announced]
        assert types[:6] == ["model_loading", "model_waiting_for_gpu"] * 2 + ["model_loading", "model_ready"]


def test_a_model_that_cannot_be_had_says_so_and_the_server_goes_on(tmp_path: Path) -> None:
    with bench(tmp_path, load=["model", "ok"]) as it:
        it.runner.load()
        until(lambda: it.runner.model.life.last_error)
        assert it.state is ModelState.UNLOADED
        assert it.runner.model.life.last_error == "ordered to fail with model"

        assert it.ended(it.submit()).status is JobStatus.DONE
        assert it.runner.model.life.last_error is None


def test_a_preparation_that_dies_is_begun_again(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        job_id = it.submit(crashes=2)

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS


@pytest.mark.parametrize(
    ("then", "code"), [("error", "not_media"), ("crash", "media_crashed"), ("nonsense", "media_crashed")]
)
def test_a_recording_that_cannot_be_prepared_fails_its_job_alone(
    tmp_path: Path, then: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with bench(tmp_path) as it:
        bad, good = it.submit(then=then), it.submit()

        assert (it.ended(bad).status, it.ended(bad).error_code) == (JobStatus.FAILED, code)
        assert it.ended(good).status is JobStatus.DONE
        assert ("the media process ended" in caplog.text) is (code == "media_crashed")


def test_a_preparation_that_stalls_fails_its_job(tmp_path: Path) -> None:
    with bench(tmp_path, options={"media": MediaLimits(stall_s=0.5)}) as it:
        job = it.ended(it.submit(then="hang"))

        assert (job.status, job.error_code) == (JobStatus.FAILED, "media_timeout")


def test_a_recording_without_speech_has_an_empty_transcript(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        job_id = it.submit([])

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.store.get_result(job_id) == b"[]"


def test_a_cancelled_job_stops_and_its_files_go(tmp_path: Path) -> None:
    with bench(tmp_path, decode=["ok", "hang"]) as it:
        job_id = it.submit()
        until(lambda: len(it.batches) == 2)

        it.store.cancel(job_id)
        it.runner.cancel(job_id)

        until(lambda: not list((tmp_path / "uploads").iterdir()) and not list((tmp_path / "prepared").iterdir()))
        assert it.store.get_job(job_id).status is JobStatus.CANCELLED


def test_unloading_in_the_middle_of_a_job_keeps_its_chunks(tmp_path: Path) -> None:
    options = {"policy": Policy(poll_interval_s=30), "batch_size": 1}
    with bench(tmp_path, options=options, decode=["ok", "ok", "told"]) as it:
        job_id = it.submit([[n * SECOND, (n + 1) * SECOND] for n in range(20)])
        until(lambda: len(it.batches) > 2)
        it.runner.unload()
        it.tell()
        until(lambda: it.state is ModelState.UNLOADED)
        assert not it.store.get_job(job_id).status.terminal
        assert len(it.batches) < 20

        it.runner.load()

        assert it.ended(job_id).status is JobStatus.DONE
        assert len(it.batches) == 20


def test_a_job_that_is_nearly_done_ends_before_an_unload(tmp_path: Path) -> None:
    options = {"policy": Policy(poll_interval_s=30), "batch_size": 1, "unload_grace_s": 60.0}
    with bench(tmp_path, options=options, decode=["ok", "slow"], secs=1.0) as it:
        job_id = it.submit([[n * SECOND, (n + 1) * SECOND] for n in range(20)])
        until(lambda: len(it.batches) > 8)
        it.runner.unload()
        until(lambda: it.state is ModelState.UNLOADED)

        assert it.store.get_job(job_id).status is JobStatus.DONE
        assert [type for type, _ in it.announced].count("model_ready") == 1


def test_a_new_runner_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    with bench(tmp_path, decode=["ok", "ok", "hang"], options={"batch_size": 1}) as it:
        job_id = it.submit()
        until(lambda: len(it.batches) == 3)
        until(lambda: sum(row.result is not None for row in it.store.chunks(job_id)) == 2)
    (tmp_path / "batches").unlink()

    with bench(tmp_path) as it:
        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS
        assert it.store.get_job(job_id).attempt == 2
        assert [chunk["pieces"] for batch in it.batches for chunk in batch] == [[THREE[2]]]


def test_a_job_left_behind_loads_the_model_by_itself(tmp_path: Path) -> None:
    with bench(tmp_path, load=["hang"]) as it:
        job_id = it.submit()

    with bench(tmp_path) as it:
        assert it.ended(job_id).status is JobStatus.DONE


@pytest.mark.parametrize("keep_audio", [False, True])
def test_the_upload_of_a_done_job_is_kept_on_request_and_that_of_a_failed_one_always(
    tmp_path: Path, keep_audio: bool
) -> None:
    with bench(tmp_path, options={"keep_audio": keep_audio}) as it:
        done, failed = it.submit(), it.submit(then="error")
        assert it.ended(failed).status is JobStatus.FAILED
        assert it.ended(done).status is JobStatus.DONE

        kept = {done, failed} if keep_audio else {failed}
        until(lambda: {path.name for path in (tmp_path / "uploads").iterdir()} == kept)
        until(lambda: not list((tmp_path / "prepared").iterdir()))


@pytest.mark.parametrize("keep_audio", [False, True])
def test_a_job_may_say_itself_whether_its_upload_is_kept(tmp_path: Path, keep_audio: bool) -> None:
    with bench(tmp_path, options={"keep_audio": not keep_audio}) as it:
        done = it.submit(options={"keep_audio": keep_audio})
        assert it.ended(done).status is JobStatus.DONE

        until(lambda: not list((tmp_path / "prepared").iterdir()))
        until(lambda: (tmp_path / "uploads" / done).exists() is keep_audio)


HEARD = [(text, 20.0 * index, 20.0 * (index + 1)) for index, text in enumerate(TEXTS)]


def test_segments_are_told_in_order_and_on_the_files_clock(tmp_path: Path) -> None:
    with bench(tmp_path, options={"batch_size": 2}) as it:
        job_id = it.submit()
        it.ended(job_id)

        assert it.segment_events(job_id) == HEARD
        log = it.store.events_after(job_id, 0)
        assert log[-1].type == "done"
        assert [event.seq for event in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize("fault", ["crash", "memory", "hang"])
def test_no_segment_is_told_twice_or_left_out_when_an_attempt_breaks_off(tmp_path: Path, fault: str) -> None:
    with bench(tmp_path, decode=["ok", "ok", fault, "ok"], options={"batch_size": 1}) as it:
        job_id = it.submit()
        until(lambda: len(it.segment_events(job_id)) >= 2)

    with bench(tmp_path) as it:
        it.ended(job_id)
        assert it.segment_events(job_id) == HEARD


def test_each_job_is_decoded_with_its_own_options_and_never_in_a_batch_with_others(tmp_path: Path) -> None:
    wishes: list[dict[str, Any]] = [
        {"beam_size": 1, "hotwords": "Ferrara"},
        {"prompt": "Minutes.", "word_timestamps": False},
        {},
    ]
    settings = {"decoding": DecodingOptions(beam_size=5, word_timestamps=True), "batch_size": 9}
    with bench(tmp_path, options=settings, decode=["slow"]) as it:
        jobs = [it.submit(options=wish) for wish in wishes]
        for job_id in jobs:
            it.ended(job_id)

        used = [json.loads(line) for line in (tmp_path / "options").read_text().splitlines()]
        seen = dict[str, dict[str, Any]]()
        for options, batch in zip(used, it.batches, strict=True):
            (job_id,) = {path.name.partition(".")[0] for path in (Path(chunk["path"]) for chunk in batch)}
            seen[next(job for job in jobs if job_id.startswith(job))] = options
    server = json.loads(json.dumps(asdict(DecodingOptions(beam_size=5, word_timestamps=True))))
    assert [seen[job_id] for job_id in jobs] == [
        {**server, "beam_size": 1, "hotwords": "Ferrara"},
        {**server, "word_timestamps": False, "initial_prompt": "Minutes."},
        server,
    ]


def test_a_call_overtakes_bulk_work_that_fills_all_rooms(tmp_path: Path) -> None:
    long = [[n * 20 * SECOND, (n + 1) * 20 * SECOND] for n in range(30)]
    with bench(tmp_path, options={"batch_size": 1, "jobs_open": 2}, decode=["told", "ok"]) as it:
        bulk = [it.submit(long, options={"priority": "bulk"}) for _ in range(3)]
        for job_id in bulk[:2]:
            it.planned(job_id)
        call = it.submit(options={"priority": "interactive"})
        it.planned(call)
        it.tell()

        assert it.ended(call).status is JobStatus.DONE
        given = [Path(chunk["path"]).name.startswith(call) for batch in it.batches for chunk in batch]
        last_of_call = max(place for place, of_call in enumerate(given) if of_call)
        assert given[: last_of_call + 1].count(False) < 6, "of 90 chunks of the others"


def test_a_failed_job_is_tried_again_under_its_id(tmp_path: Path) -> None:
    with bench(tmp_path, decode=["ok", "input", "ok"], options={"batch_size": 1}) as it:
        job_id = it.submit()
        assert it.ended(job_id).status is JobStatus.FAILED

        job = it.store.retry(job_id)
        it.runner.submit(job)

        assert (job.status, job.progress, job.error, job.completed_at) == (JobStatus.QUEUED, 0, None, None)
        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS
        assert it.segment_events(job_id) == HEARD


def test_a_job_whose_recording_is_gone_fails_at_once(tmp_path: Path) -> None:
    with bench(tmp_path, free_mb=0) as it:
        job_id = it.submit()
        it.blobs.delete(job_id)
        it.memory.free_mb = 8000

        job = it.ended(job_id)
        assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_gone")


def test_a_runner_says_what_it_has_in_hand(tmp_path: Path) -> None:
    with bench(tmp_path, options={"batch_size": 1}, decode=["ok", "hang"]) as it:
        job_id = it.submit()

        work = until(lambda: it.runner.workload if it.runner.workload.waiting_chunks.get("usual") else None)

        assert work is not None
        assert (work.jobs, work.waiting_chunks, work.speakers_children) == (1, {"usual": 1}, 0)
        assert work.engines == {("usual", ModelState.READY): 1}
        it.store.cancel(job_id)
        it.runner.cancel(job_id)
        until(lambda: (it.runner.workload.jobs, it.runner.workload.media_children) == (0, 0))
