/** Light, dark, or as the system is. */

import { recall, remember } from "./storage";
import { Store } from "./store";

export type Theme = "auto" | "light" | "dark";

const stored = recall("theme");

export const theme = new Store<Theme>(stored === "light" || stored === "dark" ? stored : "auto");

/** Counts up whenever colours may have changed, for what draws on a canvas. */
export const colours = new Store(0);

theme.subscribe(() => {
  const now = theme.get();
  if (now === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
  remember("theme", now === "auto" ? null : now);
  colours.update((count) => count + 1);
});

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.update((count) => count + 1));

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
