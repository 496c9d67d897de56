import fs from "node:fs";
import { createRequire } from "node:module";
import { TICK_DIGITS, TICK_MARK } from "./writers/order-book.ts";
const lz4 = createRequire(import.meta.url)("lz4js");
export function newestTick(ltxFile: string): number {
  const b = fs.readFileSync(ltxFile);
  const ps = b.readUInt32BE(8);
  let at = 100,
    newest = 0;
  const out = new Uint8Array(ps);
  for (;;) {
    const pgno = b.readUInt32BE(at);
    if (pgno === 0) break;
    const size = b.readUInt32BE(at + 6);
    lz4.decompressBlock(b, out, at + 10, size, 0);
    at += 10 + size;
    newest = Math.max(newest, newestTickIn(out));
  }
  return newest;
}
function newestTickIn(pages: Uint8Array): number {
  const bytes = Buffer.from(pages.buffer, pages.byteOffset, pages.byteLength);
  let newest = 0;
  for (let at = bytes.indexOf(TICK_MARK); at !== -1; at = bytes.indexOf(TICK_MARK, at + 1)) {
    const digitsAt = at + TICK_MARK.length;
    newest = Math.max(
      newest,
      Number(bytes.toString("latin1", digitsAt, digitsAt + TICK_DIGITS)) || 0,
    );
  }
  return newest;
}
