import { useEffect, useRef } from "react";
import type { ScrivanoClient } from "../client.js";
import type { ModelEvent } from "../events.js";
import { useConnection } from "./connection.js";

export interface ModelEventsOptions {
  /** Default: true. */
  enabled?: boolean;
  /** Called whenever the stream is connected. Events may have been missed if the server was started again. */
  onConnect?: () => void;
}

/** Call `onEvent` with each event of the model. It may be a new function at each rendering. */
export function useModelEvents(
  client: ScrivanoClient,
  onEvent: (event: ModelEvent) => void,
  options: ModelEventsOptions = {},
): { connected: boolean; error: unknown } {
  const { enabled = true, onConnect } = options;
  const latest = useRef({ onEvent, onConnect });
  const { connected, error, follow } = useConnection();

  useEffect(() => {
    latest.current = { onEvent, onConnect };
  });

  useEffect(() => {
    if (!enabled) return;
    return follow(async (stream, isCurrent) => {
      const connect = () => {
        stream.onConnect?.();
        latest.current.onConnect?.();
      };
      for await (const event of client.modelEvents({ ...stream, onConnect: connect })) {
        if (isCurrent()) latest.current.onEvent(event);
      }
    });
  }, [client, enabled, follow]);

  return { connected, error };
}
