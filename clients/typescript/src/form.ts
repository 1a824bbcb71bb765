/** A submission as form fields, and as a multipart body. Pure. */

import type { JobOptions } from "./options.js";
import { randomId } from "./random.js";

/** The fields of `POST /jobs`, without those that are not set. */
export function formFields(options: JobOptions): Record<string, string> {
  const given: Record<string, string | number | boolean | undefined> = {
    language: options.language,
    languages: options.languages?.length ? options.languages.join(",") : undefined,
    multilingual: options.multilingual,
    task: options.task,
    prompt: options.prompt,
    hotwords: options.hotwords,
    word_timestamps: options.wordTimestamps,
    vad: options.vad,
    beam_size: options.beamSize,
    temperature: options.temperature,
    priority: options.priority,
    metadata: options.metadata && JSON.stringify(options.metadata),
    audio_track: options.audioTrack,
    channels: options.channels,
    channel_names: options.channelNames?.length ? options.channelNames.join(",") : undefined,
    speakers: options.speakers,
    num_speakers: options.numSpeakers,
    min_speakers: options.minSpeakers,
    max_speakers: options.maxSpeakers,
    voices: options.voices,
    model: options.model,
    webhook_url: options.webhookUrl,
    webhook_if: options.webhookIf,
    keep_audio: options.keepAudio,
    queue: options.queue,
    ...options.fields,
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set.map(([name, value]) => [name, String(value)]));
}

export interface Multipart {
  body: Blob;
  contentType: string;
  /** Bytes of the body before the file. */
  headBytes: number;
}

/** The text fields come first, so that the server can refuse a wrong one before the file arrives. */
export function multipart(fields: Record<string, string>, file: Blob | undefined, filename: string): Multipart {
  const boundary = `scrivano-${randomId()}`;
  const part = (disposition: string, type = "") =>
    `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n${type}\r\n`;
  const texts = Object.entries(fields).map(([name, value]) => `${part(`name="${escaped(name)}"`)}${value}\r\n`);
  const type = `Content-Type: ${file?.type || "application/octet-stream"}\r\n`;
  const head = texts.join("") + (file ? part(`name="audio"; filename="${escaped(filename)}"`, type) : "");
  const headBlob = new Blob([head]);
  return {
    body: new Blob([headBlob, ...(file ? [file, "\r\n"] : []), `--${boundary}--\r\n`]),
    contentType: `multipart/form-data; boundary=${boundary}`,
    headBytes: headBlob.size,
  };
}

/** As browsers escape names in forms. */
function escaped(name: string): string {
  return name.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}

/** `Upload-Metadata` of tus: names, and values in base64. */
export function uploadMetadata(fields: Record<string, string>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${base64(value)}`)
    .join(",");
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}
