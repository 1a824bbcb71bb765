/** What the browser remembers. A browser may forbid storage; then things last as long as the page. */

type Place = "localStorage" | "sessionStorage";

export function recall(name: string, place: Place = "localStorage"): string | null {
  try {
    return window[place].getItem(`scrivano.${name}`);
  } catch {
    return null;
  }
}

/** All that was remembered under names with this prefix, by the rest of the name. */
export function recallAll(prefix: string): Map<string, string> {
  const found = new Map<string, string>();
  try {
    for (const [name, value] of Object.entries(window.localStorage)) {
      if (name.startsWith(`scrivano.${prefix}`)) found.set(name.slice(`scrivano.${prefix}`.length), String(value));
    }
  } catch {
    // Nothing is remembered.
  }
  return found;
}

export function remember(name: string, value: string | null, place: Place = "localStorage"): void {
  try {
    if (value === null) window[place].removeItem(`scrivano.${name}`);
    else window[place].setItem(`scrivano.${name}`, value);
  } catch {
    // Not remembered.
  }
}
