/** Folders that vanish with the test, on disk or on a small file system of their own. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of one test. `KEEP_SCRATCH=1` leaves it for inspection. */
export class Scratch implements Disposable {
  readonly folder: string;
  readonly #mounts: string[] = [];

  constructor(name: string) {
    const words = name.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(0, 40);
    this.folder = mkdtempSync(join(tmpdir(), `litestream-${words}-`));
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** A path in a new folder of its own. */
  inFolder(folder: string, name: string): string {
    mkdirSync(this.path(folder), { recursive: true });
    return this.path(folder, name);
  }

  /** Mounts an empty file system of `sizeBytes` below this folder. Needs root on Linux: see `canMount`. */
  mount(name: string, sizeBytes: number): string {
    const folder = this.path(name);
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder]);
    this.#mounts.push(folder);
    return folder;
  }

  [Symbol.dispose](): void {
    if (process.env["KEEP_SCRATCH"]) {
      console.log(`# kept: ${this.folder}`);
      return;
    }
    for (const folder of this.#mounts) execFileSync("umount", ["-l", folder]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Whether this process may mount file systems; says why not, or null. */
export function whyNoMount(): string | null {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root";
  using scratch = new Scratch("mount-probe");
  try {
    scratch.mount("probe", 1 << 20);
    return null;
  } catch (error) {
    return `this machine refuses to mount a tmpfs: ${(error as Error).message}`;
  }
}
