/** Looking at single files of a store: finding one, reading its header or trailer. */
import { decodeLTXHeader, LTX_HEADER_SIZE, LTX_TRAILER_SIZE } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";

/** Two requests where a name is taken; the answer is rarely needed, so listings are not remembered. */
export async function findFile(
  client: ReplicaClient,
  name: LTXFileName,
  signal: AbortSignal,
): Promise<LTXFileInfo | undefined> {
  for await (const info of client.list(name.level, { from: name.minTXID, signal })) {
    if (info.minTXID > name.minTXID) return undefined;
    if (info.minTXID === name.minTXID && info.maxTXID === name.maxTXID) return info;
  }
  return undefined;
}

export async function readTrailer(
  client: ReplicaClient,
  info: LTXFileInfo,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return await readRange(client, info, info.sizeBytes - LTX_TRAILER_SIZE, LTX_TRAILER_SIZE, signal);
}

export async function readRemoteHeader(
  client: ReplicaClient,
  name: LTXFileName,
  signal: AbortSignal,
): Promise<LTXHeader> {
  return decodeLTXHeader(await readRange(client, name, 0, LTX_HEADER_SIZE, signal));
}

async function readRange(
  client: ReplicaClient,
  name: LTXFileName,
  offset: number,
  length: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  for await (const chunk of client.read(name, { offset, length, signal })) {
    bytes.set(chunk.subarray(0, length - done), done);
    done += Math.min(chunk.length, length - done);
  }
  return bytes.subarray(0, done);
}

export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
