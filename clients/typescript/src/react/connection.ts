import { useCallback, useState } from "react";
import type { StreamOptions } from "../options.js";

type Follow = (options: StreamOptions, isCurrent: () => boolean) => Promise<void>;

/** The state of one stream, and a function that starts it and returns how to end it. */
export function useConnection() {
  const [state, setState] = useState<{ connected: boolean; error: unknown }>({ connected: false, error: undefined });

  const follow = useCallback((run: Follow) => {
    const controller = new AbortController();
    const { signal } = controller;
    const isCurrent = () => !signal.aborted;
    const update = (connected: boolean, error?: unknown) => {
      if (isCurrent()) setState({ connected, error });
    };
    update(false);
    const options = { signal, onConnect: () => update(true), onDisconnect: () => update(false) };
    run(options, isCurrent).then(
      () => update(false),
      (error: unknown) => update(false, error),
    );
    return () => controller.abort();
  }, []);

  return { ...state, follow };
}
