/**
 * Makes `node:fs/promises` do its work at once, in this thread: the simulation is as fast as its steps, and their order is the
 * seed's alone. To be imported before anything of the engine; a function that is not named here stays as it is.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** The part of a FileHandle that the engine uses. */
class OpenFile implements AsyncDisposable {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  async writeFile(content: string): Promise<void> {
    fs.writeSync(this.fd, content);
  }

  async sync(): Promise<void> {
    // Looked up at each call: the simulated disk stands in for it.
    fs.fsyncSync(this.fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    fs.closeSync(this.fd);
  }
}

type AnyFunction = (...args: never[]) => unknown;

const promises = fs.promises as unknown as Record<string, AnyFunction>;
for (const name of [
  "stat",
  "lstat",
  "readFile",
  "writeFile",
  "rename",
  "link",
  "unlink",
  "rm",
  "mkdir",
  "readdir",
  "chmod",
  "chown",
]) {
  const sync = `${name}Sync`;
  promises[name] = async (...args: never[]): Promise<unknown> =>
    (fs as unknown as Record<string, AnyFunction>)[sync]?.(...args);
}
promises["open"] = async (path: never, flags: never, mode: never): Promise<OpenFile> =>
  new OpenFile(fs.openSync(path, flags, mode));
syncBuiltinESMExports();
