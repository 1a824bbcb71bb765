/** Voices that people have enrolled. */

/** A voice of the API key. What it sounds like never leaves the server. */
export interface Voice {
  id: string;
  name: string;
  /** ISO 8601 in UTC. */
  created_at: string;
}
