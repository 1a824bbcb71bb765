/** The player of one recording, and what is heard: which segment, which word. */

import type { Segment } from "@scrivano/client";
import { Store } from "./store";

export interface Playhead {
  time: number;
  playing: boolean;
  /** Seconds; 0 until it is known. */
  duration: number;
  rate: number;
}

export class Playback {
  readonly head = new Store<Playhead>({ time: 0, playing: false, duration: 0, rate: 1 });
  /** Index into the list of segments and of its words that are heard now; -1: none. */
  readonly heard = new Store<{ segment: number; word: number }>({ segment: -1, word: -1 });
  #media: HTMLMediaElement | undefined;
  #segments: readonly Segment[] = [];
  #frame = 0;
  /** Whether it is not known yet if there is a recording, and whether it is to be played then. */
  #expected = true;
  #waiting = false;

  setSegments(segments: readonly Segment[]): void {
    this.#segments = segments;
    this.#find();
  }

  /** Follow a media element. Returns how to stop. */
  attach(media: HTMLMediaElement): () => void {
    this.#media = media;
    const note = () => this.#note();
    const events = ["play", "pause", "seeked", "timeupdate", "durationchange", "loadedmetadata", "ratechange", "ended"];
    for (const event of events) media.addEventListener(event, note);
    media.currentTime = this.head.get().time;
    note();
    return () => {
      for (const event of events) media.removeEventListener(event, note);
      cancelAnimationFrame(this.#frame);
      media.pause();
      if (this.#media === media) this.#media = undefined;
    };
  }

  /** Give the attached element its recording, or a new URL of the same one: it goes on where it was. Without a URL there is none. */
  load(url: string | undefined): void {
    this.#expected = false;
    const media = this.#media;
    if (!media || !url) return this.pause();
    const { time } = this.head.get();
    const play = this.#waiting || !media.paused;
    media.src = url;
    if (time > 0) media.currentTime = time;
    if (play) this.play();
  }

  toggle(): void {
    if (this.#media ? this.#media.paused : !this.#waiting) this.play();
    else this.pause();
  }

  play(): void {
    this.#waiting = this.#expected;
    // Refused if the recording cannot be played: the player shows the error itself.
    if (this.#media?.src) void this.#media.play().catch(() => undefined);
  }

  pause(): void {
    this.#waiting = false;
    this.#media?.pause();
  }

  seek(time: number, play = false): void {
    const at = Math.max(0, time);
    if (this.#media) this.#media.currentTime = at;
    this.head.update((before) => ({ ...before, time: at }));
    this.#find();
    if (play) this.play();
  }

  skip(seconds: number): void {
    this.seek(this.head.get().time + seconds);
  }

  setRate(rate: number): void {
    if (this.#media) this.#media.playbackRate = rate;
  }

  #note(): void {
    const media = this.#media;
    if (!media) return;
    const duration = Number.isFinite(media.duration) ? media.duration : 0;
    this.head.set({ time: media.currentTime, playing: !media.paused, duration, rate: media.playbackRate });
    this.#find();
    cancelAnimationFrame(this.#frame);
    // `timeupdate` comes four times a second, and words are shorter.
    if (!media.paused) this.#frame = requestAnimationFrame(() => this.#note());
  }

  #find(): void {
    const { time } = this.head.get();
    const segment = lastBefore(this.#segments, time);
    const found = this.#segments[segment];
    const before = this.heard.get();
    const inside = found !== undefined && time < found.end + 0.4;
    const words = found?.words ?? [];
    const word = inside ? lastBefore(words, time) : -1;
    const next = { segment: inside ? segment : -1, word };
    if (next.segment !== before.segment || next.word !== before.word) this.heard.set(next);
  }
}

/** The last of those, in order of their start, that begins at this time or earlier; -1: none. */
export function lastBefore(timed: readonly { start: number }[], time: number): number {
  let [low, high] = [0, timed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((timed[middle]?.start ?? Infinity) <= time + 0.01) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
