/** Voices that people have enrolled. */

/** A voice of the API key. What it sounds like never leaves the server. */
export interface Voice {
  id: string;
  name: string;
  /** The id of the API key that it belongs to; null: it was enrolled without a key. */
  owner: string | null;
  /** ISO 8601 in UTC. */
  created_at: string;
}
