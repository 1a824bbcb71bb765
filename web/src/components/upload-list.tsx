/** Recordings on their way, with their speed and the time that is left. */

import { type ChangeEvent, useRef } from "react";
import { useLocale, useT } from "../i18n";
import { bytes, span } from "../lib/format";
import { reachable } from "../lib/server";
import { useStore } from "../lib/store";
import { resume, stop, tryAgain, type Upload, uploads } from "../lib/uploads";
import { CloseIcon, RetryIcon, UploadIcon } from "./icons";
import { Bar, Button, tell } from "./ui";

// A folder may have thousands: the rest is a number.
const SHOWN = 12;

export function UploadList() {
  const t = useT();
  const list = useStore(uploads);
  if (list.length === 0) return null;
  return (
    <section aria-label={t("uploads")} className="uploads">
      <h2>{t("uploads")}</h2>
      <ul className="card rows">
        {list.slice(0, SHOWN).map((upload) => (
          <Row key={upload.id} upload={upload} />
        ))}
        {list.length > SHOWN && <li className="more-rows">{t("uploads.more", { count: String(list.length - SHOWN) })}</li>}
      </ul>
    </section>
  );
}

function Row({ upload }: { upload: Upload }) {
  const t = useT();
  const { id, name, state, progress, error } = upload;
  return (
    <li className={`upload ${state}`}>
      <div className="upload-text">
        <span className="file-name">{name}</span>
        <span className="upload-detail">
          <Detail upload={upload} />
        </span>
      </div>
      {error && (
        <p className="failure" role="alert">
          {error}
        </p>
      )}
      {state !== "failed" && (
        <Bar
          value={100 * (progress?.fraction ?? 0)}
          indeterminate={state === "fetching"}
          label={t("upload.progress", { name })}
        />
      )}
      {state === "fileless" && <ChooseAgain upload={upload} />}
      <div className="row-actions">
        {state === "failed" && (
          <Button kind="quiet" label={t("retry.of", { name })} onClick={() => tryAgain(id)}>
            <RetryIcon />
          </Button>
        )}
        <Button kind="quiet" label={t("stop.of", { name })} onClick={() => stop(id)}>
          <CloseIcon />
        </Button>
      </div>
    </li>
  );
}

function ChooseAgain({ upload: { id, name } }: { upload: Upload }) {
  const t = useT();
  const input = useRef<HTMLInputElement>(null);
  const chosen = (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    event.target.value = "";
    if (file && !resume(id, file)) tell(t("upload.other", { name }), true);
  };
  return (
    <div>
      <Button label={t("upload.choose.of", { name })} onClick={() => input.current?.click()}>
        <UploadIcon />
        {t("upload.choose")}
      </Button>
      <input ref={input} type="file" hidden aria-label={t("upload.choose.of", { name })} data-testid="again" onChange={chosen} />
    </div>
  );
}

function Detail({ upload: { state, progress } }: { upload: Upload }) {
  const t = useT();
  const { locale } = useLocale();
  const there = useStore(reachable);
  if (state === "failed") return t("upload.failed");
  if (state === "fileless") {
    const part = progress && t("of", { part: bytes(progress.loaded, locale), whole: bytes(progress.total, locale) });
    return part ? `${part} · ${t("upload.fileless")}` : t("upload.fileless");
  }
  if (state === "waiting") return t("upload.waiting");
  if (!there) return t("upload.interrupted");
  if (state === "fetching") return t("upload.fetching");
  if (!progress) return t("upload.starting");
  if (progress.fraction >= 1) return t("upload.finishing");
  const parts = [t("of", { part: bytes(progress.loaded, locale), whole: bytes(progress.total, locale) })];
  if (progress.bytesPerSecond > 0) parts.push(`${bytes(progress.bytesPerSecond, locale)}/s`);
  if (progress.secondsLeft !== undefined) parts.push(t("left", { time: span(progress.secondsLeft) }));
  return parts.join(" · ");
}
