/** What surrounds every view: the bar at the top, and what is said about the connection. */

import { type ReactNode, useEffect } from "react";
import { locales, useLocale, useT } from "../i18n";
import { type Route, useRoute } from "../lib/route";
import { apiKey, reachable, setKey } from "../lib/server";
import { useStore } from "../lib/store";
import { theme, type Theme } from "../lib/theme";
import { AutoIcon, ChartIcon, ListIcon, Mark, MoonIcon, SunIcon } from "./icons";
import { ModelState } from "./model-state";
import { Button, Popover, Segmented } from "./ui";

export function TopBar() {
  const t = useT();
  const route = useRoute();
  const here = (view: Route["view"]) => (route.view === view ? ("page" as const) : undefined);
  return (
    <header className="top">
      <a className="skip" href="#content" onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}>
        {t("skip")}
      </a>
      <a className="brand" href="#/" aria-label={t("home")}>
        <Mark />
        <span>Scrivano</span>
      </a>
      <nav aria-label={t("views")}>
        <a href="#/" aria-current={here("home")} aria-label={t("transcripts")}>
          <ListIcon />
          <span>{t("transcripts")}</span>
        </a>
        <a href="#/monitor" aria-current={here("monitor")} aria-label={t("monitor")}>
          <ChartIcon />
          <span>{t("monitor")}</span>
        </a>
      </nav>
      <div className="top-end">
        <ModelState />
        <Preferences />
      </div>
    </header>
  );
}

const THEMES: Record<Theme, ReactNode> = { auto: <AutoIcon />, light: <SunIcon />, dark: <MoonIcon /> };

function Preferences() {
  const t = useT();
  const { code, setLocale } = useLocale();
  const current = useStore(theme);
  const key = useStore(apiKey);
  return (
    <Popover button={THEMES[current]} label={t("preferences")} className="preferences">
      <p className="field-label">{t("theme")}</p>
      <Segmented
        label={t("theme")}
        value={current}
        options={(["auto", "light", "dark"] as const).map((value) => ({ value, text: t(`theme.${value}`) }))}
        onChange={(value) => theme.set(value)}
      />
      <p className="field-label">{t("language.page")}</p>
      <Segmented
        label={t("language.page")}
        value={code}
        options={locales.map((one) => ({ value: one.code, text: one.name }))}
        onChange={setLocale}
      />
      {key && (
        <Button kind="quiet" onClick={() => setKey(null, false)}>
          {t("key.forget")}
        </Button>
      )}
      <p className="links">
        <a href="docs">{t("api")}</a>
      </p>
    </Popover>
  );
}

export function Offline() {
  const t = useT();
  const there = useStore(reachable);
  useEffect(() => {
    document.documentElement.classList.toggle("offline", !there);
  }, [there]);
  return (
    <div role="status" className="offline-slot">
      {!there && <p className="offline-note">{t("offline")}</p>}
    </div>
  );
}
