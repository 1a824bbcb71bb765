/** Light, dark, or as the system is. */

import { recall, remember } from "./storage";
import { Store } from "./store";

export type Theme = "auto" | "light" | "dark";

const stored = recall("theme");

export const theme = new Store<Theme>(stored === "light" || stored === "dark" ? stored : "auto");

/** Counts up whenever colours may have changed, for what draws on a canvas. */
export const colours = new Store(0);

const system = window.matchMedia("(prefers-color-scheme: dark)");

/** As `public/theme.js` does before the first painting. */
function apply(): void {
  const now = theme.get();
  document.documentElement.dataset.theme = now !== "auto" ? now : system.matches ? "dark" : "light";
  colours.update((count) => count + 1);
}

theme.subscribe(() => {
  const now = theme.get();
  remember("theme", now === "auto" ? null : now);
  apply();
});

system.addEventListener("change", apply);

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
