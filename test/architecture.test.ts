/** Layers only point down: the table of docs/ARCHITECTURE.md as data. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const src = resolve(import.meta.dirname, "../src");

/** What each folder may import, besides itself. A path with a file name allows only that file. */
const allowed: Record<string, readonly string[]> = {
  formats: [],
  sqlite: ["formats"],
  storage: ["formats"],
  engine: ["formats", "sqlite", "storage/replica-client.ts"],
  service: ["formats", "sqlite", "storage", "engine"],
  config: ["formats", "sqlite", "storage", "engine", "service"],
  cli: ["formats", "sqlite", "storage", "engine", "service", "config"],
};

const IMPORT =
  /(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)|^import\s+"([^"]+)"/gm;

interface Import {
  readonly file: string;
  readonly target: string;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"),
    )
    .map((entry) => join(entry.parentPath, entry.name));
}

function importsOf(path: string): Import[] {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(IMPORT)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    const target = specifier.startsWith(".")
      ? relative(src, resolve(dirname(path), specifier))
      : specifier;
    return { file: relative(src, path), target };
  });
}

/** The rule an import breaks, or null. */
export function violation({ file, target }: Import): string | null {
  const layer = file.split("/")[0] ?? "";
  const rules = allowed[layer];
  if (rules === undefined) return null;
  if (target.startsWith("node:") || !target.endsWith(".ts")) {
    return layer === "formats"
      ? `src/${file} imports ${target}: formats/ must run in a browser`
      : null;
  }
  const targetLayer = target.split("/")[0] ?? "";
  if (targetLayer === layer) return storagePlaceViolation(file, target);
  return rules.some((rule) => target === rule || targetLayer === rule)
    ? null
    : `src/${file} imports src/${target}`;
}

/** Places never import each other; what they share lies directly in storage/. */
function storagePlaceViolation(file: string, target: string): string | null {
  const place = placeOf(file);
  const other = placeOf(target);
  return place !== null && other !== null && place !== other
    ? `src/${file} imports src/${target}`
    : null;
}

const places = new Set(["memory", "file", "s3", "gs", "azure", "oss", "webdav", "sftp", "nats"]);

function placeOf(file: string): string | null {
  const match = /^storage\/([a-z0-9]+)(?:\.ts|\/)/.exec(file);
  const name = match?.[1];
  return name !== undefined && places.has(name) ? name : null;
}

test("layers only point down", () => {
  const imports = sourceFiles(src).flatMap(importsOf);
  assert.ok(imports.length > 50, `only ${imports.length} imports found`);
  assert.deepEqual(
    imports.map(violation).filter((text) => text !== null),
    [],
  );
});

test("violation() names what is wrong", () => {
  const bad: [string, string, string | null][] = [
    ["engine/replica.ts", "storage/file.ts", "src/engine/replica.ts imports src/storage/file.ts"],
    ["engine/replica.ts", "storage/replica-client.ts", null],
    [
      "storage/file.ts",
      "storage/s3/client.ts",
      "src/storage/file.ts imports src/storage/s3/client.ts",
    ],
    [
      "formats/wal.ts",
      "node:fs",
      "src/formats/wal.ts imports node:fs: formats/ must run in a browser",
    ],
    ["sqlite/driver.ts", "engine/events.ts", "src/sqlite/driver.ts imports src/engine/events.ts"],
    ["cli/main.ts", "engine/restore.ts", null],
  ];
  for (const [file, target, expected] of bad) assert.equal(violation({ file, target }), expected);
});
