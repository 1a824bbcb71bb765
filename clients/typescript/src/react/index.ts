/** React hooks on `ScrivanoClient`. Each ends its requests and streams when its component is removed. */

export { useJobStream } from "./job-stream.js";
export type { JobStream } from "./job-stream.js";
export { useModelEvents } from "./model-events.js";
export type { ModelEventsOptions } from "./model-events.js";
export { useModelStatus } from "./model-status.js";
export type { ModelStatusState } from "./model-status.js";
export { useTranscribe } from "./transcribe.js";
export type { Transcription, TranscriptionPhase } from "./transcribe.js";
