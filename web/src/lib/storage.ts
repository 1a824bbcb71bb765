/** What the browser remembers. A browser may forbid storage; then things last as long as the page. */

type Place = "localStorage" | "sessionStorage";

export function recall(name: string, place: Place = "localStorage"): string | null {
  try {
    return window[place].getItem(`scrivano.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string | null, place: Place = "localStorage"): void {
  try {
    if (value === null) window[place].removeItem(`scrivano.${name}`);
    else window[place].setItem(`scrivano.${name}`, value);
  } catch {
    // Not remembered.
  }
}
