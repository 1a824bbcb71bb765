/** Client of Scrivano, the self-hosted speech-transcription server. */

export { ScrivanoClient } from "./client.js";
export type { JobEventStream, ModelEventStream } from "./client.js";
export {
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ConnectionError,
  HttpError,
  JobCancelledError,
  JobFailedError,
  LimitReachedError,
  ModelLoadError,
  ModelNotReadyError,
  NotAllowedError,
  NotFoundError,
  ScrivanoError,
  ServerError,
  WaitTimeoutError,
  WebhookVerificationError,
} from "./errors.js";
export { isFinal } from "./events.js";
export type {
  JobDoneEvent,
  JobErrorEvent,
  JobEvent,
  JobLanguageEvent,
  ModelEvent,
  ModelLoadingEvent,
  ModelReadyEvent,
  ModelUnloadedEvent,
  ModelWaitingForGpuEvent,
  JobProgressEvent,
  JobRetryEvent,
  JobSegmentEvent,
  JobSpeakersEvent,
  JobWaitingEvent,
} from "./events.js";
export type { History, HistorySample } from "./history.js";
export { isTerminal, TERMINAL_STATUSES, textOf, withSpeakers } from "./job.js";
export type {
  AudioTrack,
  Job,
  JobOverlap,
  JobPage,
  JobQuality,
  JobSpeaker,
  JobStatus,
  JobSummary,
  JobWarning,
  Priority,
  Segment,
  SegmentQuality,
  Task,
  WaitingFor,
  Waveform,
  Word,
} from "./job.js";
export type { Health, ModelState, ModelStatus, ServedModelStatus } from "./model.js";
export type {
  CallOptions,
  ClientOptions,
  CompareOptions,
  EnsureModelReadyOptions,
  GetJobOptions,
  JobOptions,
  ListOptions,
  Recording,
  RetryOptions,
  StreamOptions,
  StreamToken,
  SubmitOptions,
  SubtitleBreach,
  SubtitleLimits,
  SubtitleReport,
  TranscribeOptions,
  TranscriptFormat,
  TranscriptOptions,
  UploadProgress,
  UploadStatus,
} from "./options.js";
export type { Comparison, ComparisonSpan, Version, VersionList } from "./version.js";
export type { Voice } from "./voice.js";
export { isJobPayload, isModelPayload, isTestPayload, verifyWebhook } from "./webhooks.js";
export type {
  JobPayload,
  ModelPayload,
  TestPayload,
  VerifyOptions,
  WebhookHeaders,
  WebhookPayload,
} from "./webhooks.js";
