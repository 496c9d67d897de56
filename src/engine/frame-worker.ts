/** Entry of a thread that compresses pages: raw pages in, page frames out. It opens no file and knows no database. */
import { parentPort, workerData } from "node:worker_threads";
import { LTXFrameEncoder } from "../formats/ltx/frame-encoder.ts";

export interface FrameRequest {
  /** `pgnos.length` raw pages, one after the other; goes back with the reply. */
  readonly pages: Uint8Array<ArrayBuffer>;
  readonly pgnos: Uint32Array<ArrayBuffer>;
}

export interface FrameReply extends FrameRequest {
  readonly frames: Uint8Array<ArrayBuffer>;
  /** Bytes of each frame. */
  readonly sizes: Uint32Array<ArrayBuffer>;
  /** CRC state after the frames, from a state of zero. */
  readonly crc: bigint;
}

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread only");
const encoder = new LTXFrameEncoder((workerData as { readonly pageSize: number }).pageSize);

port.on("message", ({ pages, pgnos }: FrameRequest) => {
  const count = pgnos.length;
  encoder.pages().set(pages.subarray(0, count * encoder.pageSize));
  const { bytes, sizes, crc } = encoder.encode(pgnos, count);
  const reply = { pages, pgnos, frames: bytes.slice(), sizes: sizes.slice(0, count), crc };
  port.postMessage(reply, [pages.buffer, pgnos.buffer, reply.frames.buffer, reply.sizes.buffer]);
});
