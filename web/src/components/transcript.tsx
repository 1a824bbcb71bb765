/** The transcript: only what is in sight is drawn, so that a day of speech opens at once. */

import type { Job, JobQuality, Segment } from "@scrivano/client";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { Fragment, memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useT } from "../i18n";
import { clock, span } from "../lib/format";
import type { Playback } from "../lib/playback";
import { client, messageOf } from "../lib/server";
import { useSelected } from "../lib/store";
import { CheckIcon, EditIcon, FollowIcon, UndoIcon, WarningIcon } from "./icons";
import { Button, Empty, tell } from "./ui";

// Below this a word is marked as doubtful.
const DOUBTFUL = 0.5;

type Stretch = JobQuality["uncovered"][number];
type Item = { kind: "segment"; position: number } | { kind: "hole"; hole: Stretch };

interface Props {
  job: Job;
  segments: readonly Segment[];
  playback: Playback;
  onChanged: (segment: Segment) => void;
}

export function Transcript({ job, segments, playback, onChanged }: Props) {
  const t = useT();
  const holes = job.quality?.uncovered;
  const items = useMemo(() => interleaved(segments, holes ?? []), [segments, holes]);
  const doubts = useMemo(() => (job.status === "done" ? doubtfulPlaces(segments) : []), [segments, job.status]);
  const [editing, setEditing] = useState<number>();
  const [following, setFollowing] = useState(true);
  const names = useMemo(() => new Map((job.speakers ?? []).map(({ id, name }) => [id, name || id])), [job.speakers]);

  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const offset = (list.current?.getBoundingClientRect().top ?? 0) + window.scrollY;
    if (Math.abs(offset - top) > 1) setTop(offset);
  });
  const virtual = useWindowVirtualizer({
    count: items.length,
    estimateSize: (index) => estimate(items[index], segments),
    overscan: 6,
    scrollMargin: top,
    scrollPaddingStart: 220,
    scrollPaddingEnd: 120,
    getItemKey: (index) => {
      const item = items[index];
      return item?.kind === "segment" ? (segments[item.position]?.index ?? index) : `hole-${item?.hole.start}`;
    },
  });

  const reveal = useCallback(
    (position: number) => {
      const index = items.findIndex((item) => item.kind === "segment" && item.position === position);
      if (index >= 0) virtual.scrollToIndex(index, { align: "center" });
    },
    [items, virtual],
  );
  useFollowing(playback, following, () => setFollowing(false), list, reveal);
  useKeys({ playback, segments, doubts, reveal, edit: (position) => job.status === "done" && setEditing(position) });

  if (segments.length === 0) {
    return job.status === "done" ? <Empty title={t("transcript.none")}>{t("transcript.none.hint")}</Empty> : null;
  }
  const save = async (segment: Segment, text: string | null) => {
    try {
      onChanged(text === null ? await client.restoreSegment(job.id, segment.index) : await client.correctSegment(job.id, segment.index, text));
      setEditing(undefined);
    } catch (error) {
      tell(messageOf(error), true);
    }
  };
  return (
    <section className="transcript" aria-label={t("transcript")}>
      <div className="transcript-bar">
        {doubts.length > 0 && (
          <button type="button" className="chip" onClick={() => nextDoubt(playback, segments, doubts, reveal)}>
            <span className="doubt-sample" aria-hidden="true" />
            {t("doubts", { count: String(doubts.length) })}
          </button>
        )}
        <span className="hint keys">{t("transcript.keys")}</span>
      </div>
      <div ref={list} className="segments" style={{ height: virtual.getTotalSize() }} role="list">
        {virtual.getVirtualItems().map((row) => {
          const item = items[row.index];
          if (!item) return null;
          const segment = item.kind === "segment" ? segments[item.position] : undefined;
          return (
            <div
              key={row.key}
              role="listitem"
              data-index={row.index}
              ref={virtual.measureElement}
              className="segment-slot"
              style={{ transform: `translateY(${row.start - top}px)` }}
            >
              {item.kind === "hole" && <Hole hole={item.hole} playback={playback} />}
              {item.kind === "segment" && segment && (
                <SegmentRow
                  segment={segment}
                  position={item.position}
                  playback={playback}
                  speaker={speakerAt(segments, item.position, names)}
                  marked={job.status === "done"}
                  editing={editing === item.position}
                  onEdit={setEditing}
                  onSave={save}
                />
              )}
            </div>
          );
        })}
      </div>
      {!following && (
        <button type="button" className="follow" onClick={() => setFollowing(true)}>
          <FollowIcon size={16} />
          {t("follow")}
        </button>
      )}
    </section>
  );
}

function interleaved(segments: readonly Segment[], holes: readonly Stretch[]): Item[] {
  const items: Item[] = [];
  let next = 0;
  segments.forEach((segment, position) => {
    for (let hole = holes[next]; hole && hole.start <= segment.start; hole = holes[++next]) {
      items.push({ kind: "hole", hole });
    }
    items.push({ kind: "segment", position });
  });
  for (const hole of holes.slice(next)) items.push({ kind: "hole", hole });
  return items;
}

const LINE_CHARS = 72;

function estimate(item: Item | undefined, segments: readonly Segment[]): number {
  if (item?.kind !== "segment") return 48;
  const segment = segments[item.position];
  const chars = segment?.text.length ?? 0;
  return 18 + 31 * Math.max(1, Math.ceil(chars / LINE_CHARS)) + (segment?.quality?.doubtful.length ? 24 : 0);
}

/** The name to show above a segment: where the speaker changes. */
function speakerAt(segments: readonly Segment[], position: number, names: Map<string, string>): string | undefined {
  const speaker = segments[position]?.speaker;
  if (!speaker || segments[position - 1]?.speaker === speaker) return undefined;
  return names.get(speaker) ?? speaker;
}

interface Doubt {
  position: number;
  start: number;
}

/** Doubtful words, and doubtful segments that have none. */
function doubtfulPlaces(segments: readonly Segment[]): Doubt[] {
  return segments.flatMap((segment, position) => {
    const words = segment.words.filter((word) => word.probability < DOUBTFUL);
    const places = words.length === 0 && segment.quality?.doubtful.length ? [segment] : words;
    return places.map(({ start }) => ({ position, start }));
  });
}

function nextDoubt(
  playback: Playback,
  segments: readonly Segment[],
  doubts: readonly Doubt[],
  reveal: (position: number) => void,
): void {
  const { time } = playback.head.get();
  const doubt = doubts.find(({ start }) => start > time + 0.05) ?? doubts[0];
  if (!doubt || !segments[doubt.position]) return;
  playback.seek(doubt.start);
  reveal(doubt.position);
}

/** Keep what is heard in sight, until the reader scrolls away. */
function useFollowing(
  playback: Playback,
  following: boolean,
  stop: () => void,
  list: React.RefObject<HTMLDivElement | null>,
  reveal: (position: number) => void,
): void {
  const heard = useSelected(playback.heard, ({ segment }) => segment);
  const playing = useSelected(playback.head, ({ playing }) => playing);
  useEffect(() => {
    if (!playing || !following || heard < 0) return;
    const row = list.current?.querySelector(`[data-position="${heard}"]`);
    const box = row?.getBoundingClientRect();
    const seen = box && box.top > 210 && box.bottom < window.innerHeight - 60;
    if (!seen) reveal(heard);
  }, [heard, playing, following, list, reveal]);
  useEffect(() => {
    if (!playing) return;
    const away = () => stop();
    window.addEventListener("wheel", away, { passive: true });
    window.addEventListener("touchmove", away, { passive: true });
    return () => {
      window.removeEventListener("wheel", away);
      window.removeEventListener("touchmove", away);
    };
  }, [playing, stop]);
}

interface KeysOptions {
  playback: Playback;
  segments: readonly Segment[];
  doubts: readonly Doubt[];
  reveal: (position: number) => void;
  edit: (position: number) => void;
}

function useKeys(options: KeysOptions): void {
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isControl(event.target, event.key)) return;
      const { playback, segments, doubts, reveal, edit } = latest.current;
      const heard = playback.heard.get().segment;
      const go = (position: number) => {
        const segment = segments[position];
        if (!segment) return;
        playback.seek(segment.start);
        reveal(position);
      };
      const actions: Record<string, () => void> = {
        " ": () => playback.toggle(),
        k: () => playback.toggle(),
        j: () => playback.skip(-5),
        l: () => playback.skip(5),
        ArrowLeft: () => playback.skip(-5),
        ArrowRight: () => playback.skip(5),
        n: () => go(heard + 1),
        p: () => go(Math.max(0, heard - 1)),
        d: () => nextDoubt(playback, segments, doubts, reveal),
        e: () => edit(Math.max(0, heard)),
      };
      const action = actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

/** What has keys of its own. */
function isControl(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("dialog, input, textarea, select")) return true;
  return key === " " && target.closest("button, a, summary") !== null;
}

function Hole({ hole, playback }: { hole: Stretch; playback: Playback }) {
  const t = useT();
  return (
    <div className="hole">
      <button type="button" className="time" onClick={() => playback.seek(hole.start, true)}>
        {clock(hole.start)}
      </button>
      <p>{t("hole", { time: span(hole.end - hole.start) })}</p>
    </div>
  );
}

interface RowProps {
  segment: Segment;
  position: number;
  playback: Playback;
  speaker: string | undefined;
  marked: boolean;
  editing: boolean;
  onEdit: (position: number | undefined) => void;
  onSave: (segment: Segment, text: string | null) => Promise<void>;
}

const SegmentRow = memo(
  function SegmentRow({ segment, position, playback, speaker, marked, editing, onEdit, onSave }: RowProps) {
    const t = useT();
    // The word that is heard, if it is in this segment; -2: another segment is heard.
    const word = useSelected(playback.heard, (heard) => (heard.segment === position ? heard.word : -2));
    return (
      <article className={`segment ${word > -2 ? "heard" : ""}`} data-position={position}>
        <button
          type="button"
          className="time"
          aria-label={t("play.from", { time: clock(segment.start) })}
          onClick={() => playback.seek(segment.start, true)}
        >
          {clock(segment.start)}
        </button>
        <div className="segment-body">
          {speaker && <p className="speaker">{speaker}</p>}
          {editing ? (
            <Editor segment={segment} onSave={onSave} onClose={() => onEdit(undefined)} />
          ) : (
            <Words segment={segment} word={word} marked={marked} playback={playback} />
          )}
          {marked && !editing && <Reasons doubts={segment.quality?.doubtful ?? []} />}
        </div>
        {marked && !editing && (
          <div className="segment-actions">
            {segment.original && (
              <span className="corrected" title={t("corrected", { text: segment.original.text })}>
                <CheckIcon size={15} />
                <span className="unseen">{t("corrected", { text: segment.original.text })}</span>
              </span>
            )}
            <Button kind="quiet" label={t("edit.at", { time: clock(segment.start) })} onClick={() => onEdit(position)}>
              <EditIcon size={16} />
            </Button>
          </div>
        )}
      </article>
    );
  },
  (before, after) =>
    before.segment === after.segment &&
    before.position === after.position &&
    before.editing === after.editing &&
    before.speaker === after.speaker &&
    before.marked === after.marked &&
    before.playback === after.playback,
);

/** Why a segment is doubtful. */
function Reasons({ doubts }: { doubts: readonly string[] }) {
  const t = useT();
  if (doubts.length === 0) return null;
  const reasons = doubts.map((doubt) => (isReason(doubt) ? t(`doubt.${doubt}`) : doubt)).join(", ");
  return (
    <p className="doubt-reasons">
      <WarningIcon size={14} />
      {t("doubt", { reasons })}
    </p>
  );
}

const REASONS = ["repeats", "improbable", "guessed", "too_fast", "no_speech", "language"] as const;

/** Servers of later versions may have more. */
function isReason(doubt: string): doubt is (typeof REASONS)[number] {
  return (REASONS as readonly string[]).includes(doubt);
}

function Words({ segment, word, marked, playback }: { segment: Segment; word: number; marked: boolean; playback: Playback }) {
  const t = useT();
  if (segment.words.length === 0) {
    return (
      <p className="words" lang={segment.language ?? undefined} onClick={() => playback.seek(segment.start, true)}>
        {segment.text || <em className="hint">{t("segment.empty")}</em>}
      </p>
    );
  }
  // One listener for all words; a screen reader reads the sentence, not forty buttons.
  const heardFrom = (target: EventTarget) => {
    const index = (target as HTMLElement).dataset.word;
    const clicked = index === undefined ? undefined : segment.words[Number(index)];
    if (clicked) playback.seek(clicked.start, true);
  };
  return (
    <p className="words" lang={segment.language ?? undefined} onClick={(event) => heardFrom(event.target)}>
      {segment.words.map((one, index) => {
        const doubtful = marked && one.probability < DOUBTFUL;
        const text = index ? one.text : one.text.trimStart();
        const spoken = text.trimStart();
        return (
          <Fragment key={index}>
            {text.length > spoken.length && " "}
            <span
              data-word={index}
              className={index === word ? "now" : doubtful ? "doubtful" : undefined}
              title={doubtful ? t("doubtful", { percent: String(Math.round(100 * one.probability)) }) : undefined}
            >
              {spoken}
            </span>
          </Fragment>
        );
      })}
    </p>
  );
}

interface EditorProps {
  segment: Segment;
  onSave: (segment: Segment, text: string | null) => Promise<void>;
  onClose: () => void;
}

function Editor({ segment, onSave, onClose }: EditorProps) {
  const t = useT();
  const [text, setText] = useState(segment.text);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (!field.current) return;
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight + 2}px`;
  }, [text]);
  useEffect(() => field.current?.focus(), []);
  const save = async (changed: string | null) => {
    setBusy(true);
    await onSave(segment, changed);
    setBusy(false);
  };
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        void save(text);
      }}
    >
      <textarea
        ref={field}
        aria-label={t("edit.field")}
        value={text}
        maxLength={10_000}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onClose();
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            void save(text);
          }
        }}
      />
      <div className="row">
        <button type="submit" className="button primary" disabled={busy}>
          {t("save")}
        </button>
        <Button onClick={onClose}>{t("cancel")}</Button>
        {segment.original && (
          <Button kind="quiet" disabled={busy} onClick={() => void save(null)}>
            <UndoIcon size={16} />
            {t("restore")}
          </Button>
        )}
      </div>
      {segment.original && <p className="hint">{t("corrected", { text: segment.original.text })}</p>}
    </form>
  );
}
