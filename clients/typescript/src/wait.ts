/** Waiting: pauses that end early, growing delays, and time limits. */

/** Rejects with the signal's reason. In a browser, the pause also ends when the network is back. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      globalThis.removeEventListener?.("online", online);
      settle();
    };
    const aborted = () => end(() => reject(signal?.reason));
    const online = () => end(resolve);
    const timer = setTimeout(() => end(resolve), ms);
    if (signal?.aborted) return aborted();
    signal?.addEventListener("abort", aborted);
    globalThis.addEventListener?.("online", online);
  });
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;

/** The delay after so many failures in a row: doubled each time, and varied, so that clients do not come back together. */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return delay * (0.75 + random() / 2);
}

/** A signal that is aborted with the given one, and by `abort`. `close` must be called at the end. */
export class LinkedSignal {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #forward = () => this.#controller.abort(this.#parent?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parent?: AbortSignal) {
    this.#parent = parent;
    if (parent?.aborted) this.#forward();
    else parent?.addEventListener("abort", this.#forward);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Abort after this time, unless this is called again. */
  limit(ms: number, reason: () => unknown): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(reason()), ms);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener("abort", this.#forward);
  }
}
