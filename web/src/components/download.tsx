/** Take a transcript away: in every format, with the limits of subtitles and what breaks them. */

import type { Job, SubtitleBreach, SubtitleReport, TranscriptFormat } from "@scrivano/client";
import { useEffect, useState } from "react";
import { useT } from "../i18n";
import { client, messageOf } from "../lib/server";
import { DownloadIcon } from "./icons";
import { Button, Dialog, Field, Segmented, tell } from "./ui";

const FORMATS: readonly TranscriptFormat[] = ["txt", "srt", "vtt", "json", "verbose_json", "tsv", "lrc", "rttm"];
const PROFILES = ["", "netflix", "bbc", "youtube"] as const;
type Profile = (typeof PROFILES)[number];
const SHOWN = 50;

function isSubtitle(format: TranscriptFormat): format is "srt" | "vtt" | "lrc" {
  return format === "srt" || format === "vtt" || format === "lrc";
}

export function DownloadDialog({ job, onClose }: { job: Job; onClose: () => void }) {
  const t = useT();
  const [format, setFormat] = useState<TranscriptFormat>("txt");
  const [profile, setProfile] = useState<Profile>("");
  const [busy, setBusy] = useState(false);
  const limits = profile ? { profile } : {};

  const download = async () => {
    setBusy(true);
    try {
      const text = await client.transcript(job.id, format, isSubtitle(format) ? limits : {});
      save(text, `${stem(job.filename ?? job.id)}.${format === "verbose_json" ? "json" : format}`);
      onClose();
    } catch (error) {
      tell(messageOf(error), true);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog title={t("download")} onClose={onClose}>
      <div className="formats" role="radiogroup" aria-label={t("format")}>
        {FORMATS.filter((value) => value !== "rttm" || job.speakers?.length).map((value) => (
          <label key={value} className={value === format ? "format chosen" : "format"}>
            <input type="radio" name="format" checked={value === format} onChange={() => setFormat(value)} />
            <strong>{value === "verbose_json" ? "JSON+" : value.toUpperCase()}</strong>
            <span className="hint">{t(`format.${value}`)}</span>
          </label>
        ))}
      </div>
      {isSubtitle(format) && (
        <>
          <Field label={t("profile")}>
            <Segmented
              label={t("profile")}
              value={profile}
              options={PROFILES.map((value) => ({ value, text: value ? { netflix: "Netflix", bbc: "BBC", youtube: "YouTube" }[value] : t("profile.none") }))}
              onChange={setProfile}
            />
          </Field>
          <CheckList key={`${format} ${profile}`} job={job} format={format} profile={profile} />
        </>
      )}
      <div className="row end">
        <Button kind="primary" disabled={busy} onClick={() => void download()}>
          <DownloadIcon />
          {t("download.do")}
        </Button>
      </div>
    </Dialog>
  );
}

function CheckList({ job, format, profile }: { job: Job; format: "srt" | "vtt" | "lrc"; profile: Profile }) {
  const t = useT();
  const [report, setReport] = useState<SubtitleReport>();
  useEffect(() => {
    const controller = new AbortController();
    client
      .checkSubtitles(job.id, format, { ...(profile ? { profile } : {}), signal: controller.signal })
      .then(setReport, () => undefined);
    return () => controller.abort();
  }, [job.id, format, profile]);
  if (!report) return <p className="hint">{t("check.running")}</p>;
  const { breaches, cues } = report;
  if (breaches.length === 0) return <p className="good">{t("check.good", { cues: String(cues) })}</p>;
  return (
    <details className="breaches">
      <summary>{t("check.bad", { count: String(breaches.length), cues: String(cues) })}</summary>
      <ul>
        {breaches.slice(0, SHOWN).map((breach, index) => (
          <li key={index}>{describe(breach, t)}</li>
        ))}
        {breaches.length > SHOWN && <li>…</li>}
      </ul>
    </details>
  );
}

function describe(breach: SubtitleBreach, t: ReturnType<typeof useT>): string {
  return t("check.breach", {
    cue: String(breach.cue),
    rule: breach.rule.replaceAll("_", " "),
    value: String(Math.round(breach.value * 100) / 100),
    limit: String(breach.limit),
  });
}

function stem(name: string): string {
  return name.replace(/\.[^.]{1,8}$/, "");
}

function save(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it by then.
  window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
