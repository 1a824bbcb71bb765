/** Asks for the API key when the server wants one. */

import { useState } from "react";
import { useT } from "../i18n";
import { keyWanted, setKey } from "../lib/server";
import { useStore } from "../lib/store";
import { KeyIcon } from "./icons";
import { Check, Field } from "./ui";

export function KeyForm() {
  const t = useT();
  const wanted = useStore(keyWanted);
  const [text, setText] = useState("");
  const [keep, setKeep] = useState(false);
  return (
    <form
      className="key-form card"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim()) setKey(text.trim(), keep);
      }}
    >
      <KeyIcon size={28} />
      <h1>{t("key.title")}</h1>
      <p className="hint">{t("key.why")}</p>
      {wanted === "refused" && (
        <p className="failure" role="alert">
          {t("key.refused")}
        </p>
      )}
      <Field label={t("key.field")}>
        <input
          type="password"
          autoComplete="current-password"
          autoFocus
          spellCheck={false}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </Field>
      <Check label={t("key.keep")} hint={t("key.keep.hint")} checked={keep} onChange={setKeep} />
      <button type="submit" className="button primary" disabled={!text.trim()}>
        {t("key.use")}
      </button>
    </form>
  );
}
