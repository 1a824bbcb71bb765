/** Who speaks in a recording, where the server found out. They can be named, and two that are one can be merged. */

import type { Job, JobSpeaker } from "@scrivano/client";
import { type FormEvent, useState } from "react";
import { useT } from "../i18n";
import { span } from "../lib/format";
import { client, messageOf } from "../lib/server";
import { PersonIcon } from "./icons";
import { Popover, tell } from "./ui";

export function Speakers({ job, onChanged }: { job: Job; onChanged: () => void }) {
  const t = useT();
  const speakers = job.speakers ?? [];
  if (speakers.length === 0) return null;
  const rename = (id: string, name: string) => {
    const same = speakers.find((other) => other.id !== id && other.name.toLowerCase() === name.toLowerCase());
    const changed = same ? client.mergeSpeakers(job.id, { [id]: same.id }) : client.renameSpeakers(job.id, { [id]: name });
    changed.then(onChanged, (error: unknown) => tell(messageOf(error), true));
  };
  return (
    <ul className="speakers" aria-label={t("speakers")}>
      {speakers.map((speaker) => (
        <li key={speaker.id}>
          {job.status === "done" ? (
            <Popover named label={t("speaker.rename", { name: speaker.name })} button={<Label speaker={speaker} />}>
              <NameForm speaker={speaker} onName={(name) => rename(speaker.id, name)} />
            </Popover>
          ) : (
            <span className="popover-button still">
              <Label speaker={speaker} />
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

function Label({ speaker }: { speaker: JobSpeaker }) {
  return (
    <>
      <PersonIcon size={16} />
      {speaker.name}
      {speaker.seconds ? <span className="model-detail">{span(speaker.seconds)}</span> : null}
    </>
  );
}

function NameForm({ speaker, onName }: { speaker: JobSpeaker; onName: (name: string) => void }) {
  const t = useT();
  const [name, setName] = useState(speaker.name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) onName(name.trim());
  };
  return (
    <form onSubmit={submit} className="name-form">
      <input aria-label={t("speaker.name")} value={name} autoFocus onChange={(event) => setName(event.target.value)} />
      <button type="submit" className="button primary" disabled={!name.trim()}>
        {t("save")}
      </button>
      <p className="hint">{t("speaker.merge")}</p>
    </form>
  );
}
