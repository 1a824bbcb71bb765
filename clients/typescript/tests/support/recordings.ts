import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inject } from "vitest";

export const CLIP = "en-exact-0.flac";
export const CLIP_WORDS = "next week";

export const recording = (name = CLIP): Promise<Blob> => openAsBlob(join(inject("recordings"), name));

/** A recording of this length that is not silent: the clip's samples, repeated, as 16 kHz WAV. */
export async function long(secs: number): Promise<Blob> {
  const rate = 16_000;
  const samples = new Int16Array(secs * rate);
  const noise = new Uint8Array(await readFile(join(inject("recordings"), CLIP)));
  for (let at = 0; at < samples.length; at += 1) samples[at] = ((noise[at % noise.length] ?? 0) - 128) * 40;
  return new Blob([wavHead(samples.byteLength, rate), samples], { type: "audio/wav" });
}

function wavHead(bytes: number, rate: number): ArrayBuffer {
  const head = new DataView(new ArrayBuffer(44));
  const text = (at: number, word: string) => [...word].forEach((char, i) => head.setUint8(at + i, char.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return head.buffer;
}
