/** Where recordings come from: dropped, picked, pasted, from a folder, a URL or the microphone. */

import { type ChangeEvent, type FormEvent, useEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { choices } from "../lib/choices";
import { filesOf, type Found, sorted, urlOf } from "../lib/dropped";
import { upload } from "../lib/uploads";
import { FolderIcon, LinkIcon, MicIcon, UploadIcon } from "./icons";
import { Options } from "./options";
import { Recorder } from "./recorder";
import { Button, tell } from "./ui";

type Open = "none" | "url" | "microphone";

export function DropZone() {
  const t = useT();
  const [open, setOpen] = useState<Open>("none");
  const over = useDrops(take);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  function take({ recordings, others }: Found): void {
    if (recordings.length) upload(recordings, choices.get());
    if (others.length) tell(t("drop.others", { count: String(others.length), names: others.slice(0, 3).join(", ") }), true);
    else if (!recordings.length) tell(t("drop.nothing"), true);
  }

  const picked = (certain: boolean) => (event: ChangeEvent<HTMLInputElement>) => {
    take(sorted([...(event.target.files ?? [])], certain));
    event.target.value = "";
  };

  return (
    <section className={`drop card ${over ? "over" : ""}`} aria-label={t("drop.label")}>
      <div className="drop-main">
        <p className="drop-title">{over ? t("drop.now") : t("drop.title")}</p>
        <p className="drop-hint">{t("drop.hint")}</p>
        <div className="drop-buttons">
          <Button kind="primary" onClick={() => files.current?.click()}>
            <UploadIcon />
            {t("drop.files")}
          </Button>
          <Button onClick={() => folder.current?.click()}>
            <FolderIcon />
            {t("drop.folder")}
          </Button>
          <Button onClick={() => setOpen(open === "microphone" ? "none" : "microphone")} pressed={open === "microphone"}>
            <MicIcon />
            {t("drop.record")}
          </Button>
          <Button onClick={() => setOpen(open === "url" ? "none" : "url")} pressed={open === "url"}>
            <LinkIcon />
            {t("drop.url")}
          </Button>
        </div>
        <input
          ref={files}
          type="file"
          multiple
          hidden
          data-testid="files"
          aria-label={t("drop.files")}
          onChange={picked(true)}
        />
        <input
          ref={(element) => {
            folder.current = element;
            element?.setAttribute("webkitdirectory", "");
          }}
          type="file"
          hidden
          data-testid="folder"
          aria-label={t("drop.folder")}
          onChange={picked(false)}
        />
      </div>
      {open === "url" && <UrlForm onDone={() => setOpen("none")} />}
      {open === "microphone" && <Recorder onDone={() => setOpen("none")} />}
      <Options />
    </section>
  );
}

function UrlForm({ onDone }: { onDone: () => void }) {
  const t = useT();
  const [text, setText] = useState("");
  const url = urlOf(text);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!url) return;
    upload([url], choices.get());
    onDone();
  };
  return (
    <form className="drop-more url-form" onSubmit={submit}>
      <input
        type="url"
        autoFocus
        aria-label={t("url.label")}
        placeholder="https://example.org/meeting.mp3"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit" className="button primary" disabled={!url}>
        {t("url.fetch")}
      </button>
      <p className="hint">{t("url.hint")}</p>
    </form>
  );
}

/** Drops anywhere on the page, and pasted files or addresses. Returns whether something is held over it. */
function useDrops(take: (found: Found) => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  useEffect(() => {
    // The page's elements tell of every border that is crossed; the last one that was entered counts.
    let inside: EventTarget | null = null;
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent) => {
      inside = event.target;
      setOver(carriesFiles(event));
    };
    const leave = (event: DragEvent) => {
      if (event.target === inside) setOver(false);
    };
    const allow = (event: DragEvent) => {
      if (carriesFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      setOver(false);
      if (!event.dataTransfer || !carriesFiles(event)) return;
      event.preventDefault();
      void filesOf(event.dataTransfer).then((found) => latest.current(found));
    };
    const paste = (event: ClipboardEvent) => {
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
      const files = [...(event.clipboardData?.files ?? [])];
      const url = urlOf(event.clipboardData?.getData("text/plain") ?? "");
      if (files.length) latest.current(sorted(files, true));
      else if (url) upload([url], choices.get());
      else return;
      event.preventDefault();
    };
    window.addEventListener("dragenter", enter);
    window.addEventListener("dragleave", leave);
    window.addEventListener("dragover", allow);
    window.addEventListener("drop", drop);
    window.addEventListener("paste", paste);
    return () => {
      window.removeEventListener("dragenter", enter);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("dragover", allow);
      window.removeEventListener("drop", drop);
      window.removeEventListener("paste", paste);
    };
  }, []);
  return over;
}
