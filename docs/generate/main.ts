/** Writes the pages that are made from tables: `npm run docs`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compatibilityPage } from "./compatibility.ts";
import { configurationPage } from "./configuration.ts";
import { configurationSchema } from "./json-schema.ts";

export interface GeneratedPage {
  /** Name in docs/. */
  readonly name: string;
  readonly text: string;
}

const docs = resolve(import.meta.dirname, "..");

/** The pages as they should be. */
export function generatePages(): readonly GeneratedPage[] {
  return [
    { name: "configuration.md", text: configurationPage() },
    { name: "litestream.schema.json", text: configurationSchema() },
    { name: "compatibility.md", text: compatibilityPage() },
  ];
}

/** The page as it is. */
export function readPage(name: string): string {
  return readFileSync(join(docs, name), "utf8");
}

if (import.meta.main) {
  for (const { name, text } of generatePages()) writeFileSync(join(docs, name), text);
}
