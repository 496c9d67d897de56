/** The version of this package, read from its package.json. */
import { readFileSync } from "node:fs";

/** For example `0.1.0`. */
export function readVersion(): string {
  // Two folders up, both from src/cli and from dist/cli.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { readonly version?: unknown };
  return typeof version === "string" ? version : "(development build)";
}
