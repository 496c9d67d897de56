import fs from "node:fs";
import { LTXDecoder } from "../src/formats/ltx/decoder.ts";
import { TICK_DIGITS, TICK_MARK } from "./writers/order-book.ts";

/**
 * The newest transaction of the timed writers that an LTX file contains: the highest running number in its pages, or 0.
 * The page with the last row is in every file that contains the transaction, so nothing has to be known about the WAL.
 */
export function newestTick(ltxFile: string): number {
  const decoder = new LTXDecoder();
  decoder.push(fs.readFileSync(ltxFile));
  let newest = 0;
  for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
    newest = Math.max(newest, newestTickIn(batch.pages));
  }
  decoder.end();
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
