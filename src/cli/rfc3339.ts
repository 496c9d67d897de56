/** Times as the command line prints them: RFC 3339, whole seconds, UTC. */

/** For example `2026-01-02T15:04:05Z`. */
export function formatRFC3339(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}
