/** The state of the model, always in sight, and what can be done about it. */

import type { ServedModelStatus } from "@scrivano/client";
import { useModelStatus } from "@scrivano/client/react";
import { useEffect, useState } from "react";
import { useLocale, useT } from "../i18n";
import { bytes, memory } from "../lib/format";
import { apiKey, client, keyWanted, messageOf } from "../lib/server";
import { Store, useStore } from "../lib/store";
import { Bar, Button, Popover, tell } from "./ui";

type Status = NonNullable<ReturnType<typeof useModelStatus>["status"]>;

/** For other parts of the page: what the server serves. */
export const modelStatus = new Store<Status | undefined>(undefined);

const SLOW_MS = 15_000;

export function ModelState() {
  const wanted = useStore(keyWanted);
  const key = useStore(apiKey);
  // Mounted again with each key, so that the stream begins anew.
  return wanted === "no" ? <Known key={key ?? ""} /> : <ModelButton text="–" state="unknown" />;
}

function Known() {
  const t = useT();
  const { locale } = useLocale();
  const { status, state, refresh, load, unload } = useModelStatus(client);

  useEffect(() => {
    modelStatus.set(status);
  }, [status]);
  useEffect(() => {
    // Memory changes without an event.
    const timer = window.setInterval(() => !document.hidden && void refresh(), SLOW_MS);
    return () => window.clearInterval(timer);
  }, [refresh]);

  if (!status || !state) return <ModelButton text={t("model.unknown")} state="unknown" />;
  const models = status.models ?? [status];
  const act = (what: Promise<void>) => void what.catch((error: unknown) => tell(messageOf(error), true));
  return (
    <Popover
      className="model"
      named
      label={t("model.label", { state: t(`model.${state}`), name: status.model ?? "" })}
      button={<ModelSummary status={status} />}
    >
      {models.map((model) => (
        <OneModel
          key={model.model ?? ""}
          model={model}
          load={() => act(load(model.model ?? undefined))}
          unload={() => act(unload(model.model ?? undefined))}
        />
      ))}
      {status.vram_total_mb != null && (
        <div className="memory">
          <p>
            <span>{t("model.memory")}</span>
            <span>
              {t("of", {
                part: memory(status.vram_used_mb ?? 0, locale),
                whole: memory(status.vram_total_mb, locale),
              })}
            </span>
          </p>
          <Bar value={(100 * (status.vram_used_mb ?? 0)) / status.vram_total_mb} label={t("model.memory")} />
        </div>
      )}
      {status.vram_total_mb == null && <ServerMemory />}
      {models.length > 1 && <p className="hint">{t("model.several")}</p>}
      <p className="hint">{t("model.explained")}</p>
    </Popover>
  );
}

/** Without a GPU, the models are in the memory of the server. */
function ServerMemory() {
  const t = useT();
  const { locale } = useLocale();
  const [megabytes, setMegabytes] = useState<number | null>();
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    client.history({ signal }).then(({ samples }) => setMegabytes(samples.at(-1)?.memory_mb), () => undefined);
    return () => controller.abort();
  }, []);
  if (megabytes == null) return null;
  return (
    <div className="memory">
      <p>
        <span>{t("monitor.memory.server")}</span>
        <span>{memory(megabytes, locale)}</span>
      </p>
    </div>
  );
}

function ModelSummary({ status }: { status: Status }) {
  const t = useT();
  const { locale } = useLocale();
  const ready = status.models?.find(({ state }) => state === "ready");
  const shown = status.state === "ready" ? status : (ready ?? status);
  return (
    <ModelButton text={shown.model ?? ""} state={shown.state} detail={detailOf(shown, status, t, locale)} inside />
  );
}

function detailOf(model: ServedModelStatus, status: Status, t: ReturnType<typeof useT>, locale: string): string {
  const state = t(`model.${model.state}`);
  if (model.state === "waiting_for_gpu" && model.missing) return t("model.place");
  if (model.state === "waiting_for_gpu" && model.vram_needed_mb != null) {
    const missing = Math.max(0, model.vram_needed_mb - (model.vram_free_mb ?? 0));
    return t("model.missing", { size: memory(missing, locale) });
  }
  if (model.download?.total_bytes) return `${Math.floor((100 * model.download.done_bytes) / model.download.total_bytes)} %`;
  if (model.state === "ready" && status.vram_used_mb != null) return memory(status.vram_used_mb, locale);
  return state;
}

function ModelButton({ text, state, detail, inside = false }: { text: string; state: string; detail?: string; inside?: boolean }) {
  const t = useT();
  const content = (
    <>
      <span className={`dot ${state}`} />
      <span className="unseen">{t("model.unknown")}</span>
      <span className="model-name">{text}</span>
      {detail && <span className="model-detail">{detail}</span>}
    </>
  );
  return inside ? content : <div className="popover-button still">{content}</div>;
}

function OneModel({ model, load, unload }: { model: ServedModelStatus; load: () => void; unload: () => void }) {
  const t = useT();
  const { locale } = useLocale();
  const { state, download } = model;
  return (
    <section className="one-model" aria-label={model.model ?? ""}>
      <div className="one-model-head">
        <span className={`dot ${state}`} />
        <strong>{model.model}</strong>
        <span className="state">{t(`model.${state}`)}</span>
      </div>
      {download && (
        <>
          <Bar
            value={download.total_bytes ? (100 * download.done_bytes) / download.total_bytes : 0}
            indeterminate={!download.total_bytes}
            label={t("model.downloading")}
          />
          <p className="hint">
            {t("model.downloading")} {bytes(download.done_bytes, locale)}
            {download.total_bytes ? ` / ${bytes(download.total_bytes, locale)}` : ""}
          </p>
        </>
      )}
      {state === "loading" && !download && <Bar value={0} indeterminate label={t("model.loading")} />}
      {state === "waiting_for_gpu" && model.missing && <p className="hint">{t("model.place")}</p>}
      {state === "waiting_for_gpu" && !model.missing && model.vram_needed_mb != null && (
        <p className="hint">
          {t("model.waiting", {
            needed: memory(model.vram_needed_mb, locale),
            free: memory(model.vram_free_mb ?? 0, locale),
            missing: memory(Math.max(0, model.vram_needed_mb - (model.vram_free_mb ?? 0)), locale),
            seconds: String(model.retry_in_secs ?? 0),
          })}
        </p>
      )}
      {model.last_error && <p className="failure">{model.last_error}</p>}
      <div className="row">
        <Button onClick={load} disabled={state !== "unloaded"} kind="primary">
          {t("model.load")}
        </Button>
        <Button onClick={unload} disabled={state === "unloaded"}>
          {t("model.unload")}
        </Button>
      </div>
    </section>
  );
}
