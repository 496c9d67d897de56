/**
 * Loaded before the victim (`--import`): names every step that touches a file or SQLite, and kills the process at the one that
 * CRASH_POINT names, as `before|after <step> #<count>`. With POWER_CUT=1 it first takes back what was not flushed: content
 * of files, and names in folders.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isMainThread } from "node:worker_threads";

const target = process.env["CRASH_POINT"] ?? "";
const withPowerCut = process.env["POWER_CUT"] === "1";
const root = process.env["CRASH_ROOT"] ?? "/nowhere";
const counts = new Map<string, number>();
const real = { ...fs };

/** Files whose content is not on disk for certain, and what each folder's flush makes last. */
const unflushed = new Set<string>();
const undo = new Map<string, (() => void)[]>();
const paths = new Map<number, string>();

/** Where a path belongs: the kind of file, not which one. */
function kindOf(path: string): string {
  const name = basename(path);
  if (path.includes("-litestream/") || path.endsWith("-litestream")) {
    if (name.endsWith(".tmp")) return "local temp";
    if (name.endsWith(".ltx")) return "local L0";
    return name === "resume-point.json" ? "resume point" : "local folder";
  }
  if (path.includes("/replica")) {
    const level = /ltx\/(\d+)/.exec(path)?.[1];
    const what = name.endsWith(".tmp") ? "temp" : name.endsWith(".ltx") ? "file" : "folder";
    return level === undefined ? `store ${what}` : `store ${what} L${level}`;
  }
  if (name.endsWith("-wal")) return "WAL";
  return name.endsWith(".db") ? "database" : "other";
}

/** The shim itself is reading a file. */
let isLooking = false;

function reach(when: "before" | "after", step: string): void {
  if (isLooking) return;
  const name = `${when} ${isMainThread ? "" : "worker "}${step}`;
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  if (target !== `${name} #${count}`) return;
  if (withPowerCut) cutPower();
  process.kill(process.pid, "SIGKILL");
  // The signal may take a moment: nothing may happen in it.
  for (;;);
}

function cutPower(): void {
  // What is done here is no step, and needs no flush.
  isLooking = true;
  const torn = [...unflushed];
  for (const steps of undo.values()) for (const step of steps.toReversed()) step();
  for (const path of torn) if (real.existsSync(path)) real.truncateSync(path, 0);
}

function isOurs(path: unknown): path is string {
  return typeof path === "string" && path.startsWith(root);
}

function remember(folder: string, step: () => void): void {
  const steps = undo.get(folder);
  if (steps === undefined) undo.set(folder, [step]);
  else steps.push(step);
}

function renamed(from: string, to: string): void {
  if (unflushed.delete(from)) unflushed.add(to);
  remember(dirname(to), () => {
    if (real.existsSync(to)) real.renameSync(to, from);
  });
}

function linked(to: string): void {
  remember(dirname(to), () => real.rmSync(to, { force: true }));
}

function removed(path: string): void {
  if (!path.endsWith(".ltx")) return;
  isLooking = true;
  const bytes = real.existsSync(path) ? real.readFileSync(path) : null;
  isLooking = false;
  if (bytes === null) return;
  remember(dirname(path), () => {
    if (!real.existsSync(path)) real.writeFileSync(path, bytes);
  });
}

function flushed(path: string): void {
  unflushed.delete(path);
  undo.delete(path);
}

type Call = (...args: unknown[]) => unknown;

/** Replaces `module[name]`; `effect` runs after the real call, with its arguments and its result. */
function watch(
  module: object,
  name: string,
  pathOf: (args: unknown[]) => unknown,
  effect: (path: string, args: unknown[], result: unknown) => void = () => {},
  prepare: (path: string) => void = () => {},
): void {
  const functions = module as Record<string, Call>;
  const original = functions[name] as Call;
  functions[name] = function watched(this: unknown, ...args: unknown[]): unknown {
    const path = pathOf(args);
    if (!isOurs(path)) return Reflect.apply(original, this, args);
    const step = `${name} ${kindOf(path)}`;
    reach("before", step);
    prepare(path);
    const result = Reflect.apply(original, this, args);
    const done = (value: unknown): unknown => {
      effect(path, args, value);
      reach("after", step);
      return value;
    };
    return result instanceof Promise ? result.then(done) : done(result);
  };
}

const first = (args: unknown[]): unknown => args[0];
const ofDescriptor = (args: unknown[]): unknown => paths.get(args[0] as number);

watch(fs, "openSync", first, (path, args, fd) => {
  paths.set(fd as number, path);
  if (args[1] === "w+") unflushed.add(path);
});
watch(fs, "writeSync", ofDescriptor, (path) => unflushed.add(path));
watch(fs, "writeFileSync", first, (path) => unflushed.add(path));
watch(fs, "renameSync", first, (_path, args) => renamed(String(args[0]), String(args[1])));
watch(fs, "unlinkSync", first, undefined, removed);
watch(fs, "mkdirSync", first);
watch(fs, "fsyncSync", ofDescriptor, flushed);
const realFsync = fs.fsync;
(fs as unknown as Record<string, Call>)["fsync"] = ((
  fd: number,
  callback: (error: Error | null) => void,
): void => {
  const path = paths.get(fd);
  if (path === undefined) {
    realFsync(fd, callback);
    return;
  }
  reach("before", `fsync ${kindOf(path)}`);
  realFsync(fd, (error) => {
    flushed(path);
    reach("after", `fsync ${kindOf(path)}`);
    callback(error);
  });
}) as unknown as Call;

watch(fs.promises, "rename", first, (_path, args) => renamed(String(args[0]), String(args[1])));
watch(
  fs.promises,
  "link",
  (args) => args[1],
  (_path, args) => linked(String(args[1])),
);
watch(
  fs.promises,
  "copyFile",
  (args) => args[1],
  (path) => {
    linked(path);
    unflushed.add(path);
  },
);
watch(fs.promises, "unlink", first, undefined, removed);
watch(fs.promises, "mkdir", first);
watch(fs.promises, "writeFile", first, (path) => unflushed.add(path));

const handlePaths = new WeakMap<object, string>();
let isPrototypeWatched = false;
watch(fs.promises, "open", first, (path, args, handle) => {
  handlePaths.set(handle as object, path);
  if (args[1] !== "r") unflushed.add(path);
  if (isPrototypeWatched) return;
  isPrototypeWatched = true;
  watchHandles(Object.getPrototypeOf(handle) as object);
});

function watchHandles(prototype: object): void {
  for (const name of ["write", "sync"]) {
    const methods = prototype as Record<string, Call>;
    const original = methods[name] as Call;
    methods[name] = async function watched(this: object, ...args: unknown[]): Promise<unknown> {
      const path = handlePaths.get(this);
      if (path === undefined) return await Reflect.apply(original, this, args);
      reach("before", `handle.${name} ${kindOf(path)}`);
      const result: unknown = await Reflect.apply(original, this, args);
      if (name === "sync") flushed(path);
      reach("after", `handle.${name} ${kindOf(path)}`);
      return result;
    };
  }
}

// Called with its own `this` below.
// oxlint-disable-next-line typescript/unbound-method
const execSQL = DatabaseSync.prototype.exec;
DatabaseSync.prototype.exec = function watched(this: DatabaseSync, sql: string): void {
  const step = `sql ${sql.split(/\s+/).slice(0, 2).join(" ")}`;
  reach("before", step);
  Reflect.apply(execSQL, this, [sql]);
  reach("after", step);
};
syncBuiltinESMExports();

/** Every name with its count, for the test to choose from. */
process.on("exit", () => {
  const list = process.env["CRASH_LIST"];
  if (list === undefined || !isMainThread) return;
  real.writeFileSync(list, JSON.stringify([...counts]));
});
