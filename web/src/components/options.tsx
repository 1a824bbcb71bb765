/** How the next recordings are transcribed. */

import { useMemo } from "react";
import { useLocale, useT } from "../i18n";
import { choices } from "../lib/choices";
import { languageName } from "../lib/format";
import { LANGUAGES } from "../lib/languages";
import { useStore } from "../lib/store";
import type { Choices } from "../lib/uploads";
import { ChevronIcon } from "./icons";
import { modelStatus } from "./model-state";
import { Check, Field, Segmented } from "./ui";

export function Options() {
  const t = useT();
  const { locale } = useLocale();
  const now = useStore(choices);
  const models = useStore(modelStatus)?.models ?? [];
  const set = (change: Partial<Choices>) => choices.update((before) => ({ ...before, ...change }));
  const languages = useMemo(
    () =>
      LANGUAGES.map((code) => ({ code, name: languageName(code, locale) })).sort((a, b) =>
        a.name.localeCompare(b.name, locale),
      ),
    [locale],
  );
  return (
    <div className="options">
      <div className="options-row">
        <label className="inline-field">
          <span>{t("options.language")}</span>
          <select value={now.language} onChange={(event) => set({ language: event.target.value })}>
            <option value="">{t("options.detect")}</option>
            {languages.map(({ code, name }) => (
              <option key={code} value={code}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <Segmented
          label={t("options.task")}
          value={now.task}
          options={[
            { value: "transcribe", text: t("task.transcribe") },
            { value: "translate", text: t("task.translate") },
          ]}
          onChange={(task) => set({ task })}
        />
        {models.length > 1 && (
          <label className="inline-field">
            <span>{t("options.model")}</span>
            <select value={now.model} onChange={(event) => set({ model: event.target.value })}>
              <option value="">{t("options.default", { name: models[0]?.model ?? "" })}</option>
              {models.slice(1).map(({ model }) => (
                <option key={model} value={model ?? ""}>
                  {model}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <details>
        <summary>
          <ChevronIcon size={16} />
          {t("options.more")}
        </summary>
        <div className="options-more">
          <Field label={t("options.prompt")} hint={t("options.prompt.hint")}>
            <textarea rows={2} value={now.prompt} onChange={(event) => set({ prompt: event.target.value })} />
          </Field>
          <Field label={t("options.hotwords")} hint={t("options.hotwords.hint")}>
            <input type="text" value={now.hotwords} onChange={(event) => set({ hotwords: event.target.value })} />
          </Field>
          <div className="checks">
            <Check
              label={t("options.keep")}
              hint={t("options.keep.hint")}
              checked={now.keepAudio}
              onChange={(keepAudio) => set({ keepAudio })}
            />
            <Check
              label={t("options.multilingual")}
              hint={t("options.multilingual.hint")}
              checked={now.multilingual}
              onChange={(multilingual) => set(multilingual ? { multilingual, language: "" } : { multilingual })}
            />
            <Check
              label={t("options.speakers")}
              hint={t("options.speakers.hint")}
              checked={now.speakers}
              onChange={(speakers) => set({ speakers })}
            />
            <Check
              label={t("options.urgent")}
              hint={t("options.urgent.hint")}
              checked={now.urgent}
              onChange={(urgent) => set({ urgent })}
            />
          </div>
          {now.speakers && <Channels now={now} set={set} />}
        </div>
      </details>
    </div>
  );
}

/** Where each channel has a voice, as in a recorded call, the channels tell who speaks. */
function Channels({ now, set }: { now: Choices; set: (change: Partial<Choices>) => void }) {
  const t = useT();
  return (
    <>
      <Field label={t("options.channels")} hint={t("options.channels.hint")}>
        <select value={now.channels} onChange={(event) => set({ channels: event.target.value as Choices["channels"] })}>
          <option value="">{t("options.channels.default")}</option>
          <option value="auto">{t("options.channels.auto")}</option>
          <option value="split">{t("options.channels.split")}</option>
          <option value="mix">{t("options.channels.mix")}</option>
        </select>
      </Field>
      {now.channels !== "mix" && (
        <Field label={t("options.channelNames")} hint={t("options.channelNames.hint")}>
          <input
            type="text"
            value={now.channelNames}
            placeholder={t("options.channelNames.example")}
            onChange={(event) => set({ channelNames: event.target.value })}
          />
        </Field>
      )}
    </>
  );
}
