/** The model's state, as the server sends it. */

export type ModelState = "unloaded" | "loading" | "waiting_for_gpu" | "ready";

/** One of several served models. */
export interface ServedModelStatus {
  state: ModelState;
  /** Its name. */
  model?: string | null;
  /** Only when ready: ISO 8601 in UTC. */
  loaded_at?: string | null;
  /** What is missing; only while an engine waits for a place in a cluster, and not for memory. */
  missing?: string | null;
  /** Only while waiting for memory. */
  vram_needed_mb?: number | null;
  /** Only while waiting for memory. */
  vram_free_mb?: number | null;
  /** Only while waiting for memory: seconds until the next attempt. */
  retry_in_secs?: number | null;
  /** Only while the model is being downloaded. */
  download?: { done_bytes: number; total_bytes?: number | null } | null;
  /** Why the last load failed, until a load succeeds. */
  last_error?: string | null;
  /** Only if several GPUs share the work. */
  devices?: { gpu: number; state: string }[] | null;
  engines?: { node: string | null; state: string }[] | null;
}

export interface ModelStatus extends ServedModelStatus {
  /** Only if a GPU can be read. */
  vram_used_mb?: number | null;
  /** Only if a GPU can be read. */
  vram_total_mb?: number | null;
  /** Only if several models are served; the default one is first. */
  models?: ServedModelStatus[] | null;
}

export interface Health {
  status: string;
  gpu_name: string | null;
  vram_total_mb: number | null;
  model: string;
  /** Jobs that wait; running ones do not count. */
  queue_depth: number;
  model_state: ModelState;
}
