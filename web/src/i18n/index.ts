/** English and Italian. */

import { useMemo } from "react";
import { recall, remember } from "../lib/storage";
import { Store, useStore } from "../lib/store";
import { en, type Key } from "./en";
import { it } from "./it";
import { itServer } from "./it-server";

export type Locale = "en" | "it";
export type Translate = (key: Key, values?: Record<string, string>) => string;

const texts: Record<Locale, Record<Key, string>> = { en, it };

export const locales: readonly { code: Locale; name: string }[] = [
  { code: "en", name: "English" },
  { code: "it", name: "Italiano" },
];

function first(): Locale {
  const chosen = recall("locale");
  if (chosen === "en" || chosen === "it") return chosen;
  return navigator.languages.find((tag) => /^(en|it)\b/.test(tag))?.startsWith("it") ? "it" : "en";
}

export const locale = new Store<Locale>(first());

function applyLocale(): void {
  document.documentElement.lang = locale.get();
}

applyLocale();
locale.subscribe(() => {
  applyLocale();
  remember("locale", locale.get());
});

export function translator(code: Locale): Translate {
  return (key, values = {}) => texts[code][key].replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
}

export function useT(): Translate {
  const code = useStore(locale);
  return useMemo(() => translator(code), [code]);
}

/** What the server says, by its stable code, in the language of the page. */
export function useServerText(): (code: string | null | undefined, message: string) => string {
  const code = useStore(locale);
  return (of, message) => (code === "it" && of && itServer[of]) || message;
}

/** `locale`: how numbers and dates are written: as the browser's reader does, where it is the language of the page. */
export function useLocale(): { code: Locale; locale: string; setLocale: (code: Locale) => void } {
  const code = useStore(locale);
  const tag = navigator.languages.find((one) => one.split("-")[0] === code) ?? code;
  return { code, locale: tag, setLocale: (next) => locale.set(next) };
}
