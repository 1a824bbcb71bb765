/** The last hour of a server. */

/** The server at one moment. What cannot be measured on a machine is null. */
export interface HistorySample {
  at: string;
  /** Jobs that wait. */
  queued: number;
  running: number;
  /** Seconds of speech that were decoded since the sample before. */
  audio_secs: number;
  /** Share of this time in which a model decoded, 0 to 1. */
  busy: number;
  /** Processor cores in use. */
  cpu_cores: number | null;
  /** Of the server and its models. */
  memory_mb: number | null;
  gpu_used_mb: number | null;
}

export interface History {
  /** Seconds between two samples. */
  interval_secs: number;
  cpu_cores: number | null;
  gpu_name: string | null;
  gpu_total_mb: number | null;
  /** Oldest first. */
  samples: HistorySample[];
}
