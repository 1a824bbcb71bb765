/** The recording: its waveform with the playhead, the controls, and the picture if there is one. */

import { ConnectionError, isTerminal, type Job, LimitReachedError, ServerError } from "@scrivano/client";
import { useEffect, useRef, useState } from "react";
import WaveSurfer from "wavesurfer.js";
import { useT } from "../i18n";
import { clock } from "../lib/format";
import type { Playback } from "../lib/playback";
import { apiKey, audioUrl, client, hasAudio } from "../lib/server";
import { useSelected, useStore } from "../lib/store";
import { colour, colours } from "../lib/theme";
import { PauseIcon, PlayIcon } from "./icons";

const VIDEO = /\.(3gp|avi|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ogv|webm|wmv)$/i;
const POINTS = 2400;
const RATES = [0.75, 1, 1.25, 1.5, 2];
const RETRY_MS = 2000;
const TEMPORARY = [ConnectionError, LimitReachedError, ServerError];
// Tokens in URLs are valid for some minutes; a player that fails asks for a new one, but not without end.
const MOST_RELOADS = 5;

type Audio = { state: "asking" } | { state: "gone" } | { state: "there"; url: string };

export function Player({ job, playback }: { job: Job; playback: Playback }) {
  const t = useT();
  const [round, setRound] = useState(0);
  const audio = useAudio(job, round);
  const peaks = usePeaks(job);
  const video = VIDEO.test(job.filename ?? "") && audio.state === "there";
  const media = useRef<HTMLVideoElement & HTMLAudioElement>(null);
  const [element, setElement] = useState<HTMLMediaElement | null>(null);
  const [picture, setPicture] = useState(false);
  const [broken, setBroken] = useState(false);
  const reloads = useRef(0);

  useEffect(() => {
    const now = media.current;
    setElement(now);
    if (!now) return;
    const detach = playback.attach(now);
    return detach;
  }, [playback, audio.state, video]);

  useSubtitles(video ? media : undefined, job);

  const url = audio.state === "there" ? audio.url : undefined;
  useEffect(() => {
    if (audio.state === "gone" || (element && url)) playback.load(url);
  }, [audio.state, url, element, playback]);

  const failed = () => {
    const code = media.current?.error?.code;
    const refused = code === MediaError.MEDIA_ERR_NETWORK || code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    if (refused && apiKey.get() && reloads.current < MOST_RELOADS) {
      reloads.current += 1;
      setRound((before) => before + 1);
    } else setBroken(true);
  };
  const shared = { ref: media, preload: "metadata", onError: failed } as const;

  return (
    <section className="card player" aria-label={t("player")}>
      {video && (
        <video
          {...shared}
          className={picture ? "" : "no-picture"}
          playsInline
          onClick={() => playback.toggle()}
          onLoadedMetadata={(event) => setPicture(event.currentTarget.videoWidth > 0)}
        />
      )}
      {!video && audio.state === "there" && <audio {...shared} />}
      <Wave job={job} peaks={peaks} media={element} playback={playback} />
      <Controls job={job} playback={playback} enabled={audio.state === "there" && !broken} />
      {audio.state === "gone" && <p className="hint">{t("player.gone")}</p>}
      {broken && (
        <p className="hint">
          {t("player.broken")} {job.status === "done" && t("player.broken.complete")}
        </p>
      )}
    </section>
  );
}

function useAudio(job: Job, round: number): Audio {
  const [audio, setAudio] = useState<Audio>({ state: "asking" });
  const key = useStore(apiKey);
  const ended = isTerminal(job);
  useEffect(() => {
    const controller = new AbortController();
    let release = () => undefined as void;
    let timer = 0;
    const ask = async () => {
      try {
        if (!(await hasAudio(job.id, controller.signal))) return setAudio({ state: "gone" });
        const got = await audioUrl(job.id, controller.signal);
        if (controller.signal.aborted) return got.release();
        release = got.release;
        setAudio({ state: "there", url: got.url });
      } catch (error) {
        if (controller.signal.aborted) return;
        if (TEMPORARY.some((kind) => error instanceof kind)) timer = window.setTimeout(() => void ask(), RETRY_MS);
        else setAudio({ state: "gone" });
      }
    };
    void ask();
    return () => {
      controller.abort();
      window.clearTimeout(timer);
      release();
    };
    // When the job ends its recording may be deleted.
  }, [job.id, ended, key, round]);
  return audio;
}

interface Peaks {
  values: number[];
  secs: number;
}

function usePeaks(job: Job): Peaks | undefined {
  const [peaks, setPeaks] = useState<Peaks>();
  const [round, setRound] = useState(0);
  const ended = isTerminal(job);
  const got = peaks !== undefined;
  useEffect(() => setPeaks(undefined), [job.id]);
  useEffect(() => {
    if (got) return;
    const controller = new AbortController();
    let timer = 0;
    client
      .waveform(job.id, { points: POINTS, signal: controller.signal })
      .then((found) => setPeaks({ values: found.peaks.map((peak) => peak / 255), secs: found.peak_secs }))
      .catch(() => {
        // It is there once the recording was read.
        if (!controller.signal.aborted && !ended) timer = window.setTimeout(() => setRound((n) => n + 1), RETRY_MS);
      });
    return () => {
      controller.abort();
      window.clearTimeout(timer);
    };
  }, [job.id, ended, got, round]);
  return peaks;
}

const nonce = () => document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";

interface WaveProps {
  job: Job;
  peaks: Peaks | undefined;
  media: HTMLMediaElement | null;
  playback: Playback;
}

function Wave({ job, peaks, media, playback }: WaveProps) {
  const t = useT();
  const container = useRef<HTMLDivElement>(null);
  const painted = useStore(colours);
  const duration = job.duration_secs ?? (peaks ? peaks.secs * peaks.values.length : 0);

  useEffect(() => {
    if (!container.current || !peaks || !duration) return;
    const wave = WaveSurfer.create({
      container: container.current,
      height: 72,
      peaks: [peaks.values],
      duration,
      normalize: true,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      waveColor: colour("wave"),
      progressColor: colour("accent"),
      cursorColor: colour("accent"),
      cursorWidth: 2,
      hideScrollbar: true,
      interact: false,
      cspNonce: nonce(),
    });
    // It only draws: the sound is that of the player, so that hours of it are not loaded twice.
    const follow = () => wave.setTime(Math.min(playback.head.get().time, duration));
    const stop = playback.head.subscribe(follow);
    follow();
    return () => {
      stop();
      wave.destroy();
    };
  }, [peaks, duration, playback, painted]);

  const share = (seconds: number) => `${(100 * Math.min(seconds, duration)) / (duration || 1)}%`;
  return (
    <div className={`wave ${peaks ? "" : "flat"}`}>
      <div ref={container} aria-hidden="true" />
      {duration > 0 &&
        (job.quality?.uncovered ?? []).map((hole, index) => (
          <div key={index} className="hole-mark" style={{ left: share(hole.start), width: share(hole.end - hole.start) }} />
        ))}
      <Seek duration={duration} playback={playback} disabled={!media} label={t("player.seek")} />
    </div>
  );
}

/** The waveform as a slider, for mouse, finger, keyboard and screen reader. */
function Seek({ duration, playback, disabled, label }: { duration: number; playback: Playback; disabled: boolean; label: string }) {
  const time = useSelected(playback.head, (head) => Math.floor(head.time));
  return (
    <input
      type="range"
      className="seek"
      aria-label={label}
      aria-valuetext={`${clock(time)} / ${clock(duration)}`}
      min={0}
      max={Math.max(1, duration)}
      step={0.1}
      value={time}
      disabled={disabled || !duration}
      onChange={(event) => playback.seek(Number(event.target.value))}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -5, ArrowRight: 5, ArrowDown: -30, ArrowUp: 30 }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        playback.skip(step);
      }}
    />
  );
}

function Controls({ job, playback, enabled }: { job: Job; playback: Playback; enabled: boolean }) {
  const t = useT();
  const playing = useSelected(playback.head, (head) => head.playing);
  const rate = useSelected(playback.head, (head) => head.rate);
  const known = useSelected(playback.head, (head) => head.duration);
  const duration = job.duration_secs ?? known;
  return (
    <div className="controls">
      <button
        type="button"
        className="play"
        aria-label={playing ? t("player.pause") : t("player.play")}
        disabled={!enabled}
        onClick={() => playback.toggle()}
      >
        {playing ? <PauseIcon size={22} /> : <PlayIcon size={22} />}
      </button>
      <p className="clock">
        <Now playback={playback} />
        {duration ? <span> / {clock(duration)}</span> : null}
      </p>
      <label className="rate">
        <span className="unseen">{t("player.rate")}</span>
        <select value={rate} disabled={!enabled} onChange={(event) => playback.setRate(Number(event.target.value))}>
          {RATES.map((value) => (
            <option key={value} value={value}>{`${value}×`}</option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Now({ playback }: { playback: Playback }) {
  const seconds = useSelected(playback.head, (head) => Math.floor(head.time));
  return <span>{clock(seconds)}</span>;
}

/** The subtitles of a video: a track from a blob, because a `<track>` cannot send a key. */
function useSubtitles(video: React.RefObject<HTMLVideoElement | null> | undefined, job: Job): void {
  const [vtt, setVtt] = useState<string>();
  const done = job.status === "done";
  useEffect(() => {
    if (!video || !done) return;
    const controller = new AbortController();
    client.transcript(job.id, "vtt", { signal: controller.signal }).then(setVtt, () => undefined);
    return () => controller.abort();
    // Corrections change the segments.
  }, [video, done, job.id, job.segments]);
  useEffect(() => {
    const player = video?.current;
    if (!player || !vtt) return;
    const url = URL.createObjectURL(new Blob([vtt], { type: "text/vtt" }));
    const track = document.createElement("track");
    track.kind = "subtitles";
    track.src = url;
    track.default = true;
    player.append(track);
    track.track.mode = "showing";
    return () => {
      track.remove();
      URL.revokeObjectURL(url);
    };
  }, [video, vtt]);
}
