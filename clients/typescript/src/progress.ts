/** Progress of an upload: bytes over time to speed and time left. Pure, except for the clock that is passed in. */

import type { UploadProgress } from "./options.js";

// The speed is that of the last seconds.
const WINDOW_MS = 5_000;
const SHORTEST_MS = 250;

export class ProgressMeter {
  readonly #total: number;
  readonly #now: () => number;
  #samples: { at: number; loaded: number }[] = [];

  /** `total` in bytes. `now` in milliseconds. */
  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
  }

  /** `loaded`: bytes that were sent so far. It may go back when a part has to be sent again. */
  at(loaded: number): UploadProgress {
    const sent = Math.max(0, Math.min(loaded, this.#total));
    const now = this.#now();
    if (sent < (this.#samples.at(-1)?.loaded ?? 0)) this.#samples = [];
    this.#samples = [...this.#samples.filter((sample) => now - sample.at <= WINDOW_MS), { at: now, loaded: sent }];
    const bytesPerSecond = this.#speed();
    return {
      loaded: sent,
      total: this.#total,
      fraction: this.#total === 0 ? 1 : sent / this.#total,
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? (this.#total - sent) / bytesPerSecond : undefined,
    };
  }

  #speed(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at - first.at < SHORTEST_MS) return 0;
    return ((last.loaded - first.loaded) / (last.at - first.at)) * 1000;
  }
}
