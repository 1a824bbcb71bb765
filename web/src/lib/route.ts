/** Which view is open. It is in the fragment of the address, so that it works below any prefix. */

import { useSyncExternalStore } from "react";

export type Route = { view: "home" } | { view: "monitor" } | { view: "job"; id: string; at?: number };

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/");
  if (view === "monitor") return { view };
  if (view === "jobs" && id) {
    const at = Number(new URLSearchParams(query).get("t") ?? NaN);
    return Number.isFinite(at) ? { view: "job", id: decodeURIComponent(id), at } : { view: "job", id: decodeURIComponent(id) };
  }
  return { view: "home" };
}

export const jobLink = (id: string) => `#/jobs/${encodeURIComponent(id)}`;

export function go(hash: string): void {
  window.location.hash = hash;
}

const subscribe = (listener: () => void) => {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
};

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => window.location.hash));
}
