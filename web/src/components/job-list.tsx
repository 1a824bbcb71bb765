/** All jobs, newest first: only those in sight are drawn. */

import { isTerminal, type JobStatus, type JobSummary } from "@scrivano/client";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { type Translate, useLocale, useServerText, useT } from "../i18n";
import { clock, fullMoment, languageName, moment, span, speed } from "../lib/format";
import { cancelJob, deleteJob, filter, jobList, more, paces, retryJob, setFilter } from "../lib/jobs";
import { jobLink } from "../lib/route";
import { messageOf } from "../lib/server";
import { useSelected, useStore } from "../lib/store";
import { uploads } from "../lib/uploads";
import { CloseIcon, RetryIcon, SearchIcon, TrashIcon, WarningIcon } from "./icons";
import { Bar, Button, Dialog, Empty, Failure, tell } from "./ui";

const STATUSES: readonly (JobStatus | "")[] = ["", "running", "queued", "done", "failed", "cancelled"];
const ROW_PX = 73;

export function JobListView() {
  const t = useT();
  const { jobs, known, error } = useStore(jobList);
  const { status, search } = useStore(filter);
  const sending = useSelected(uploads, (list) => list.length > 0);
  const filtered = Boolean(status || search);
  const [toDelete, setToDelete] = useState<JobSummary>();
  const first = known && jobs.length === 0 && !filtered;
  return (
    <section aria-label={t("transcripts")} className="jobs">
      {!first && <Filters />}
      <Failure text={error} />
      {!known && !error && <Loading />}
      {known && jobs.length === 0 && filtered && <Empty title={t("jobs.none")}>{t("jobs.none.hint")}</Empty>}
      {first && !sending && <Empty title={t("jobs.first")}>{t("jobs.first.hint")}</Empty>}
      {jobs.length > 0 && <Rows jobs={jobs} onDelete={setToDelete} />}
      {toDelete && (
        <Dialog title={t("delete.title")} onClose={() => setToDelete(undefined)}>
          <p>{t("delete.sure", { name: nameOf(toDelete, t) })}</p>
          <div className="row end">
            <Button onClick={() => setToDelete(undefined)}>{t("delete.keep")}</Button>
            <Button kind="danger" onClick={() => (act(deleteJob(toDelete.id)), setToDelete(undefined))}>
              {t("delete.do")}
            </Button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

const TYPING_MS = 250;

function Filters() {
  const t = useT();
  const { status, search } = useStore(filter);
  const [text, setText] = useState(search);
  useEffect(() => {
    if (text === search) return;
    const timer = window.setTimeout(() => setFilter({ search: text }), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [text, search]);
  return (
    <div className="filters">
      <label className="search">
        <SearchIcon />
        <span className="unseen">{t("search")}</span>
        <input
          type="search"
          id="search"
          placeholder={t("search")}
          maxLength={200}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      <label className="status-filter">
        <span className="unseen">{t("status")}</span>
        <select value={status} onChange={(event) => setFilter({ status: event.target.value as JobStatus | "" })}>
          {STATUSES.map((value) => (
            <option key={value} value={value}>
              {value ? t(`status.${value}`) : t("status.all")}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Loading() {
  return (
    <div className="card rows skeleton" aria-busy="true">
      {[0, 1, 2].map((n) => (
        <div key={n} className="job">
          <span className="ghost" />
          <span className="ghost short" />
        </div>
      ))}
    </div>
  );
}

function Rows({ jobs, onDelete }: { jobs: readonly JobSummary[]; onDelete: (job: JobSummary) => void }) {
  const list = useRef<HTMLUListElement>(null);
  const [top, setTop] = useState(0);
  const cursor = useSelected(jobList, ({ cursor }) => cursor);
  useLayoutEffect(() => {
    const offset = (list.current?.getBoundingClientRect().top ?? 0) + window.scrollY;
    if (Math.abs(offset - top) > 1) setTop(offset);
  });
  const virtual = useWindowVirtualizer({
    count: jobs.length,
    estimateSize: () => ROW_PX,
    overscan: 8,
    scrollMargin: top,
    getItemKey: (index) => jobs[index]?.id ?? index,
  });
  const items = virtual.getVirtualItems();
  const lastSeen = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (cursor !== null && lastSeen >= jobs.length - 20) void more();
  }, [cursor, lastSeen, jobs.length]);
  return (
    <ul className="card rows" ref={list} style={{ height: virtual.getTotalSize() }}>
      {items.map((item) => {
        const job = jobs[item.index];
        if (!job) return null;
        return (
          <li
            key={item.key}
            data-index={item.index}
            ref={virtual.measureElement}
            aria-setsize={cursor === null ? jobs.length : -1}
            aria-posinset={item.index + 1}
            style={{ transform: `translateY(${item.start - top}px)` }}
          >
            <Row job={job} onDelete={onDelete} />
          </li>
        );
      })}
    </ul>
  );
}

function act(what: Promise<unknown>): void {
  void what.catch((error: unknown) => tell(messageOf(error), true));
}

export function nameOf(job: { filename?: string | null }, t: Translate): string {
  return job.filename || t("job.unnamed");
}

const Row = memo(function Row({ job, onDelete }: { job: JobSummary; onDelete: (job: JobSummary) => void }) {
  const t = useT();
  const { locale } = useLocale();
  const says = useServerText();
  const name = nameOf(job, t);
  const warnings = job.warnings ?? [];
  return (
    <article className={`job ${job.status}`}>
      <a className="job-link" href={jobLink(job.id)}>
        <span className="file-name">{name}</span>
      </a>
      <div className="job-facts">
        <Status job={job} />
        {job.duration_secs != null && <span>{clock(job.duration_secs)}</span>}
        {job.language && <span>{languageName(job.language, locale)}</span>}
        {job.task === "translate" && <span>{t("task.translated")}</span>}
        {job.model && <span>{job.model}</span>}
        <time dateTime={job.created_at} title={fullMoment(job.created_at, locale)}>
          {moment(job.created_at, locale)}
        </time>
        {warnings.length > 0 && (
          <span className="warn" title={warnings.map(({ code, message }) => says(code, message)).join("\n")}>
            <WarningIcon size={15} />
            {t("warnings", { count: String(warnings.length) })}
          </span>
        )}
      </div>
      {job.status === "running" && <Bar value={job.progress} label={t("job.progress", { name })} />}
      {job.status === "failed" && job.error && <p className="failure">{says(job.error_code, job.error)}</p>}
      {job.excerpt && <Excerpt text={job.excerpt} />}
      <div className="row-actions">
        {!isTerminal(job) && (
          <Button kind="quiet" label={t("cancel.of", { name })} onClick={() => act(cancelJob(job.id))}>
            <CloseIcon />
          </Button>
        )}
        {(job.status === "failed" || job.status === "cancelled") && (
          <Button kind="quiet" label={t("retry.of", { name })} onClick={() => act(retryJob(job.id))}>
            <RetryIcon />
          </Button>
        )}
        {isTerminal(job) && (
          <Button kind="quiet" label={t("delete.of", { name })} onClick={() => onDelete(job)}>
            <TrashIcon />
          </Button>
        )}
      </div>
    </article>
  );
});

function Status({ job }: { job: JobSummary }) {
  const t = useT();
  const { locale } = useLocale();
  const pace = useSelected(paces, (all) => all.get(job.id));
  if (job.status !== "running") return <span className={`status ${job.status}`}>{t(`status.${job.status}`)}</span>;
  return (
    <>
      <span className="status running">{`${job.progress} %`}</span>
      {job.chunks_total ? <span>{t("chunks", { done: String(job.chunk ?? 0), all: String(job.chunks_total) })}</span> : null}
      {pace && <span>{speed(pace.factor, locale)}</span>}
      {pace && <span>{t("left", { time: span(pace.secondsLeft) })}</span>}
    </>
  );
}

/** The words that were searched for stand out. */
function Excerpt({ text }: { text: string }) {
  const search = useSelected(filter, ({ search }) => search);
  const terms = [...search.matchAll(/"([^"]*)"|([^\s"]+)/g)].map((match) => (match[1] ?? match[2] ?? "").trim());
  const wanted = terms.filter(Boolean).map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const parts = wanted.length ? text.split(new RegExp(`(${wanted.join("|")})`, "giu")) : [text];
  return <p className="excerpt">{parts.map((part, index) => (index % 2 ? <mark key={index}>{part}</mark> : part))}</p>;
}
