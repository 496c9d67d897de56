/** The file of the control socket: bound so that nobody but its owner can reach it for a moment, removed at the end. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { connect } from "node:net";

/**
 * Listens at `path`; the file has `mode` from its first moment on. A socket nobody listens at is removed first; one in use, and any other file, is
 * refused.
 */
export async function listenAtSocket(server: Server, path: string, mode: number): Promise<void> {
  await removeStaleSocket(path);
  // Binding makes the file at once, in this very call, with what the mask leaves of 0777.
  const mask = process.umask(0o177);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(path, resolve);
    process.umask(mask);
    await promise;
    server.off("error", reject);
  } finally {
    process.umask(mask);
  }
  chmodSync(path, mode);
}

async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`socket path exists but is not a socket: ${path}`);
  if (await answers(path)) throw new Error(`another process listens at the socket: ${path}`);
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
