import { useEffect, useState } from "react";
import type { ScrivanoClient } from "../client.js";
import { type JobView, NOTHING_KNOWN, ofJob, withEvent } from "./job-view.js";
import { useConnection } from "./connection.js";

export interface JobStream extends JobView {
  /** Whether the stream is connected. It is not before the first response, during an interruption, and at the end. */
  connected: boolean;
  /** Why the job cannot be followed: it does not exist, the key is wrong, or the server cannot be reached. */
  error: unknown;
}

/**
 * Follow a job, from its first event on. `jobId` undefined or null: follow none.
 *
 * An interrupted stream continues with the next event. The stream ends with the job, with the component, and when
 * `client` or `jobId` changes.
 */
export function useJobStream(client: ScrivanoClient, jobId: string | null | undefined): JobStream {
  const [view, setView] = useState<JobView>(NOTHING_KNOWN);
  const { connected, error, follow } = useConnection();

  useEffect(() => {
    setView(NOTHING_KNOWN);
    if (!jobId) return;
    return follow(async (options, isCurrent) => {
      for await (const event of client.streamProgress(jobId, { ...options, lastEventId: "0" })) {
        if (isCurrent()) setView((before) => withEvent(before, event));
        if (event.type !== "error") continue;
        const job = await client.job(jobId, options);
        if (isCurrent()) setView(ofJob(job));
      }
    });
  }, [client, jobId, follow]);

  return { ...view, connected, error };
}
