/** Who speaks in a recording, where the server found out. They can be named, and two that are one can be merged. */

import { type FormEvent, useEffect, useState } from "react";
import { useT } from "../i18n";
import { span } from "../lib/format";
import { changeSpeakers, hasRoute, messageOf, type Speaker, type WholeJob } from "../lib/server";
import { PersonIcon } from "./icons";
import { Popover, tell } from "./ui";

export function Speakers({ job, onChanged }: { job: WholeJob; onChanged: () => void }) {
  const t = useT();
  const speakers = job.speakers ?? [];
  const [nameable, setNameable] = useState(false);
  useEffect(() => {
    if (speakers.length) void hasRoute("patch", "/jobs/{job_id}/speakers").then(setNameable);
  }, [speakers.length]);
  if (speakers.length === 0) return null;
  const rename = (id: string, name: string) => {
    const same = speakers.find((other) => other.id !== id && nameOfSpeaker(other).toLowerCase() === name.toLowerCase());
    const changes = same ? { merge: { [id]: same.id } } : { names: { [id]: name } };
    changeSpeakers(job.id, changes).then(onChanged, (error: unknown) => tell(messageOf(error), true));
  };
  return (
    <ul className="speakers" aria-label={t("speakers")}>
      {speakers.map((speaker) => (
        <li key={speaker.id}>
          {nameable && job.status === "done" ? (
            <Popover named label={t("speaker.rename", { name: nameOfSpeaker(speaker) })} button={<Label speaker={speaker} />}>
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

function nameOfSpeaker({ id, name }: Speaker): string {
  return name || id;
}

function Label({ speaker }: { speaker: Speaker }) {
  return (
    <>
      <PersonIcon size={16} />
      {nameOfSpeaker(speaker)}
      {speaker.seconds ? <span className="model-detail">{span(speaker.seconds)}</span> : null}
    </>
  );
}

function NameForm({ speaker, onName }: { speaker: Speaker; onName: (name: string) => void }) {
  const t = useT();
  const [name, setName] = useState(nameOfSpeaker(speaker));
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
