/** One job: its recording to hear, its transcript to read, to correct and to take away. */

import { isTerminal, type Job, type Segment } from "@scrivano/client";
import { useEffect, useMemo, useRef, useState } from "react";
import { type Translate, useLocale, useServerText, useT } from "../i18n";
import { clock, fullMoment, languageName, span, speed } from "../lib/format";
import { cancelJob, deleteJob, retryJob } from "../lib/jobs";
import { type LiveJob, useLiveJob } from "../lib/live";
import { Playback } from "../lib/playback";
import { go } from "../lib/route";
import { messageOf } from "../lib/server";
import { DownloadDialog } from "./download";
import { BackIcon, CloseIcon, CopyIcon, DownloadIcon, RetryIcon, TrashIcon, WarningIcon } from "./icons";
import { nameOf } from "./job-list";
import { Player } from "./player";
import { Speakers } from "./speakers";
import { Transcript } from "./transcript";
import { Bar, Button, Dialog, Empty, Failure, tell } from "./ui";

export function JobView({ id, at }: { id: string; at?: number }) {
  const t = useT();
  const live = useLiveJob(id);
  const { job, missing, error } = live;
  const playback = useMemo(() => new Playback(), [id]);

  useEffect(() => {
    document.title = job ? `${nameOf(job, t)} · Scrivano` : "Scrivano";
  }, [job, t]);
  useEffect(() => {
    if (at !== undefined) playback.seek(at);
  }, [at, playback]);
  useEffect(() => playback.setSegments(live.segments), [playback, live.segments]);

  if (missing) {
    return (
      <Empty title={t("job.missing")}>
        <a href="#/">{t("job.back")}</a>
      </Empty>
    );
  }
  if (!job) {
    return error ? (
      <Failure text={error} />
    ) : (
      <div className="job-skeleton" aria-busy="true">
        <span className="ghost title" />
        <span className="ghost wave" />
        <span className="ghost" />
        <span className="ghost" />
        <span className="ghost short" />
      </div>
    );
  }
  return <Loaded job={job} live={live} playback={playback} />;
}

function Loaded({ job, live, playback }: { job: Job; live: LiveJob; playback: Playback }) {
  const t = useT();
  const [downloading, setDownloading] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const ended = isTerminal(job);
  const name = nameOf(job, t);
  const act = (what: Promise<unknown>) => void what.catch((error: unknown) => tell(messageOf(error), true));
  const copy = async () => {
    const text = live.segments.map((segment) => segment.text.trim()).join("\n");
    try {
      await navigator.clipboard.writeText(text);
      tell(t("copied"));
    } catch {
      const copied = copyByHand(text);
      tell(copied ? t("copied") : t("copy.failed"), !copied);
    }
  };
  return (
    <div className="job-view">
      <header className="job-head">
        <a className="button quiet back" href="#/" aria-label={t("job.back")} title={t("job.back")}>
          <BackIcon />
        </a>
        <div className="job-title">
          <h1>{name}</h1>
          <Facts job={job} />
        </div>
        <div className="job-actions">
          {live.segments.length > 0 && (
            <Button onClick={() => void copy()}>
              <CopyIcon />
              <span>{t("copy")}</span>
            </Button>
          )}
          {job.status === "done" && (
            <Button kind="primary" onClick={() => setDownloading(true)}>
              <DownloadIcon />
              <span>{t("download")}</span>
            </Button>
          )}
          {!ended && (
            <Button onClick={() => act(cancelJob(job.id))}>
              <CloseIcon />
              <span>{t("cancel")}</span>
            </Button>
          )}
          {(job.status === "failed" || job.status === "cancelled") && (
            <Button kind="primary" onClick={() => act(retryJob(job.id).then(live.reload))}>
              <RetryIcon />
              <span>{t("retry")}</span>
            </Button>
          )}
          {ended && (
            <Button kind="quiet" label={t("delete.of", { name })} onClick={() => setDeleting(true)}>
              <TrashIcon />
            </Button>
          )}
        </div>
      </header>
      <Failure text={live.error} />
      {(job.status !== "failed" || job.duration_secs != null) && <Player job={job} playback={playback} />}
      {!ended && <Running job={job} live={live} />}
      <Notes job={job} playback={playback} />
      <Quality job={job} segments={live.segments} />
      <Speakers job={job} onChanged={live.reload} />
      <Transcript job={job} segments={live.segments} playback={playback} onChanged={live.setSegment} />
      {downloading && <DownloadDialog job={job} onClose={() => setDownloading(false)} />}
      {deleting && (
        <Dialog title={t("delete.title")} onClose={() => setDeleting(false)}>
          <p>{t("delete.sure", { name })}</p>
          <div className="row end">
            <Button onClick={() => setDeleting(false)}>{t("delete.keep")}</Button>
            <Button kind="danger" onClick={() => act(deleteJob(job.id).then(() => go("#/")))}>
              {t("delete.do")}
            </Button>
          </div>
        </Dialog>
      )}
    </div>
  );
}

/** Pages that are not served securely have no clipboard; the old way still works. */
function copyByHand(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

function Facts({ job }: { job: Job }) {
  const t = useT();
  const { locale } = useLocale();
  const seconds = job.completed_at ? (Date.parse(job.completed_at) - Date.parse(job.created_at)) / 1000 : 0;
  return (
    <p className="facts">
      <span className={`status ${job.status}`}>{t(`status.${job.status}`)}</span>
      {job.duration_secs != null && <span>{clock(job.duration_secs)}</span>}
      {job.language && <span>{languageName(job.language, locale)}</span>}
      {job.task === "translate" && <span>{t("task.translated")}</span>}
      {job.model && <span>{job.model}</span>}
      <time dateTime={job.created_at}>{fullMoment(job.created_at, locale)}</time>
      {job.status === "done" && seconds > 0 && <span>{t("took", { time: span(seconds) })}</span>}
    </p>
  );
}

function Running({ job, live }: { job: Job; live: LiveJob }) {
  const t = useT();
  const { locale } = useLocale();
  const pace = usePace(job, live.progress);
  const waits = job.waiting_for;
  if (job.status === "queued" || (waits && live.progress === 0)) {
    return (
      <div className="card running-note" role="status">
        <Bar value={0} indeterminate label={t("job.waiting")} />
        <p>{waits ? waitingText(waits, t) : t("job.waiting")}</p>
        {waits?.last_error && <p className="failure">{waits.last_error}</p>}
      </div>
    );
  }
  const parts = [`${live.progress} %`];
  if (live.chunksTotal) parts.push(t("chunks", { done: String(live.chunk), all: String(live.chunksTotal) }));
  if (pace) parts.push(speed(pace.factor, locale), t("left", { time: span(pace.secondsLeft) }));
  return (
    <div className="card running-note" role="status">
      <Bar value={live.progress} label={t("job.progress", { name: nameOf(job, t) })} />
      <p>{parts.join(" · ")}</p>
      {waits && <p className="hint">{waitingText(waits, t)}</p>}
    </div>
  );
}

function waitingText(waits: NonNullable<Job["waiting_for"]>, t: Translate): string {
  const when = waits.retry_in_secs != null ? ` ${t("job.waits.when", { time: span(waits.retry_in_secs) })}` : "";
  const state = waits.missing ? t("model.place") : t(`model.${waits.state}` as "model.loading");
  return `${t("job.waits", { model: waits.model, state })}${when}`;
}

/** From the progress since the page saw the job first. */
function usePace(job: Job, progress: number): { factor: number; secondsLeft: number } | undefined {
  const first = useRef<{ at: number; progress: number }>(undefined);
  const now = performance.now() / 1000;
  if (!first.current || progress < first.current.progress) first.current = { at: now, progress };
  const [seconds, percent] = [now - first.current.at, progress - first.current.progress];
  if (seconds < 2 || percent <= 0 || !job.duration_secs) return undefined;
  return { factor: ((percent / 100) * job.duration_secs) / seconds, secondsLeft: ((100 - progress) * seconds) / percent };
}

/** What is to be known about the recording and its text. */
function Notes({ job, playback }: { job: Job; playback: Playback }) {
  const t = useT();
  const says = useServerText();
  const warnings = job.warnings ?? [];
  const holes = job.quality?.uncovered ?? [];
  if (job.status === "failed") {
    return (
      <div className="card note bad" role="alert">
        <WarningIcon />
        <p>{says(job.error_code, job.error ?? "")}</p>
      </div>
    );
  }
  if (warnings.length === 0 && holes.length === 0) return null;
  return (
    <ul className="card notes">
      {warnings.map((warning, index) => (
        <li key={index}>
          <WarningIcon size={16} />
          <span>{says(warning.code, warning.message)}</span>
          {warning.at != null && (
            <button type="button" className="time" onClick={() => playback.seek(warning.at ?? 0, true)}>
              {clock(warning.at)}
            </button>
          )}
        </li>
      ))}
      {holes.length > 0 && (
        <li>
          <WarningIcon size={16} />
          <span>{t("holes", { count: String(holes.length) })}</span>
        </li>
      )}
    </ul>
  );
}

/** How far the text can be trusted, in one line. */
function Quality({ job, segments }: { job: Job; segments: readonly Segment[] }) {
  const t = useT();
  const { locale } = useLocale();
  const quality = job.quality;
  if (!quality || segments.length === 0) return null;
  // Rounded down: 100 % means all.
  const percent = (share: number) => (Math.floor(1000 * share + 1e-6) / 10).toLocaleString(locale);
  const { coverage, word_probability: certainty } = quality;
  const doubtful = segments.filter((segment) => segment.quality?.doubtful.length).length;
  const parts = [
    coverage == null ? t("quality.undetected") : t("quality.coverage", { percent: percent(coverage) }),
    certainty != null && t("quality.certainty", { percent: percent(certainty) }),
    quality.repaired > 0 && t("quality.repaired", { count: String(quality.repaired) }),
    quality.loops_cut > 0 && t("quality.loops", { count: String(quality.loops_cut) }),
    doubtful > 0 && t("quality.doubtful", { count: String(doubtful) }),
  ];
  return <p className="quality" title={t("quality")}>{parts.filter(Boolean).join(" · ")}</p>;
}
