/**
 * An application that commits small transactions as fast as it can: `node busy-writer.ts DB COUNT`. Prints one line of
 * JSON, keeps its connection open until standard input ends, and leaves without closing the database.
 */
import { OrderBook } from "./order-book.ts";

const [file = "", countText = ""] = process.argv.slice(2);
const count = Number(countText);
if (!file || !(count > 0)) throw new TypeError("Usage: busy-writer.ts DB COUNT");

const book = new OrderBook(file);
const durationsMs = new Float64Array(count);
const startedAt = performance.now();
let before = startedAt;
for (let i = 0; i < count; i++) {
  book.addEntry();
  const after = performance.now();
  durationsMs[i] = after - before;
  before = after;
}
const lastCommitNs = process.hrtime.bigint();
const seconds = (before - startedAt) / 1000;
durationsMs.sort();
const result = {
  perSecond: count / seconds,
  longestMs: durationsMs.at(-1),
  p99Ms: durationsMs[Math.floor(count * 0.99)],
  lastCommitNs: lastCommitNs.toString(),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.stdin.once("end", () => process.exit(0)).resume();
