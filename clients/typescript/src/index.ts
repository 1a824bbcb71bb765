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
  JobWaitingEvent,
} from "./events.js";
export { isTerminal, TERMINAL_STATUSES, textOf } from "./job.js";
export type {
  AudioTrack,
  Job,
  JobPage,
  JobSpeaker,
  JobQuality,
  JobStatus,
  JobSummary,
  JobWarning,
  Priority,
  Segment,
  SegmentQuality,
  Task,
  WaitingFor,
  Word,
} from "./job.js";
export type { Health, ModelState, ModelStatus, ServedModelStatus } from "./model.js";
export type {
  CallOptions,
  ClientOptions,
  EnsureModelReadyOptions,
  GetJobOptions,
  JobOptions,
  ListOptions,
  Recording,
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
} from "./options.js";
export { isJobPayload, isModelPayload, isTestPayload, verifyWebhook } from "./webhooks.js";
export type {
  JobPayload,
  ModelPayload,
  TestPayload,
  VerifyOptions,
  WebhookHeaders,
  WebhookPayload,
} from "./webhooks.js";
