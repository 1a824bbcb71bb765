import { useCallback, useEffect, useRef, useState } from "react";
import type { ScrivanoClient } from "../client.js";
import type { ModelState, ModelStatus } from "../model.js";
import { useModelEvents } from "./model-events.js";

export interface ModelStatusState {
  /** undefined until the first response. */
  status: ModelStatus | undefined;
  /** `status.state`. */
  state: ModelState | undefined;
  ready: boolean;
  /** Whether changes are received. */
  connected: boolean;
  /** Why the status cannot be read. */
  error: unknown;
  /** Read the status now. */
  refresh(): Promise<void>;
  /** Start to load the model; rejects if the key is not an admin's. */
  load(model?: string): Promise<void>;
  /** Rejects if the key is not an admin's. */
  unload(model?: string): Promise<void>;
}

// While the model loads or waits, figures change without an event: downloaded bytes, free memory, seconds left.
const REFRESH_MS = 2_000;

/** The state of the model, kept up to date by its events, and read anew after each interruption. */
export function useModelStatus(client: ScrivanoClient): ModelStatusState {
  const [status, setStatus] = useState<ModelStatus>();
  const [failure, setFailure] = useState<unknown>();
  const controller = useRef<AbortController | undefined>(undefined);

  const refresh = useCallback(async () => {
    controller.current?.abort();
    const current = (controller.current = new AbortController());
    try {
      const read = await client.modelStatus({ signal: current.signal });
      if (current.signal.aborted) return;
      setStatus(read);
      setFailure(undefined);
    } catch (error) {
      if (!current.signal.aborted) setFailure(error);
    }
  }, [client]);

  const { connected, error } = useModelEvents(client, () => void refresh(), { onConnect: () => void refresh() });

  useEffect(() => {
    void refresh();
    return () => controller.current?.abort();
  }, [refresh]);

  const changing = status?.state === "loading" || status?.state === "waiting_for_gpu";
  useEffect(() => {
    if (!changing) return;
    const timer = setInterval(() => void refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [changing, refresh]);

  const load = useCallback(
    async (model?: string) => {
      await client.loadModel({ model });
      await refresh();
    },
    [client, refresh],
  );
  const unload = useCallback(
    async (model?: string) => {
      await client.unloadModel({ model });
      await refresh();
    },
    [client, refresh],
  );

  const state = status?.state;
  return { status, state, ready: state === "ready", connected, error: failure ?? error, refresh, load, unload };
}
