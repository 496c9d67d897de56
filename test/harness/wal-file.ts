/** The WAL file seen from outside. Reading it is harmless: SQLite takes no locks on it. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";

const HEADER_SIZE = 32;
const FRAME_HEADER_SIZE = 24;

/** Size of the WAL file in bytes; 0 when there is none. */
export function walSize(database: string): number {
  return statSync(`${database}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

/** How many frames carry the salts of the WAL header: those of the present generation. */
export function framesInGeneration(database: string): number {
  const path = `${database}-wal`;
  if (!existsSync(path) || walSize(database) < HEADER_SIZE) return 0;
  using file = openedFile(path);
  const header = file.read(0, HEADER_SIZE);
  const frameSize = FRAME_HEADER_SIZE + header.readUInt32BE(8);
  const salts = header.subarray(16, 24);
  let count = 0;
  for (let at = HEADER_SIZE; ; at += frameSize) {
    const frame = file.read(at, FRAME_HEADER_SIZE);
    if (frame.length < FRAME_HEADER_SIZE || !frame.subarray(8, 16).equals(salts)) return count;
    count++;
  }
}

function openedFile(path: string): Disposable & { read(offset: number, length: number): Buffer } {
  const descriptor = openSync(path, "r");
  return {
    read(offset, length) {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(descriptor, buffer, 0, length, offset));
    },
    [Symbol.dispose]() {
      closeSync(descriptor);
    },
  };
}
