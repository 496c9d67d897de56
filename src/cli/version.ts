/** The version of this package: set when it was bundled, otherwise read from its package.json. */
import { readFileSync } from "node:fs";

/** Set by packaging/bundle.ts. */
declare const BUNDLED_VERSION: string | undefined;

/** For example `0.1.0`. */
export function readVersion(): string {
  if (typeof BUNDLED_VERSION === "string") return BUNDLED_VERSION;
  // Two folders up, both from src/cli and from dist/cli.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { readonly version?: unknown };
  return typeof version === "string" ? version : "(development build)";
}
