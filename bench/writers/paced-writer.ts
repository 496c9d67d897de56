/**
 * An application that commits small transactions at a given pace: `node paced-writer.ts COUNT MIN_MS MAX_MS DB…`. It
 * says "ready", makes COUNT commits, one database after the other, with a random pause of MIN_MS to MAX_MS before each,
 * and then prints one line of JSON per commit: `{ database, tick, atNs }`, the monotonic time when the commit returned. Keeps its
 * connections open until standard input ends, and leaves without closing the databases.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "../data.ts";
import { OrderBook } from "./order-book.ts";

const [countText = "", minText = "", maxText = "", ...files] = process.argv.slice(2);
const [count, minMs, maxMs] = [Number(countText), Number(minText), Number(maxText)];
if (!(count > 0 && minMs >= 0 && maxMs >= minMs && files.length > 0)) {
  throw new TypeError("Usage: paced-writer.ts COUNT MIN_MS MAX_MS DB…");
}

const books = files.map((file) => new OrderBook(file));
const random = new SeededRandom(3);
const lines: string[] = [];
process.stdout.write('"ready"\n');
let dueAt = performance.now();
for (let i = 0; i < count; i++) {
  dueAt += minMs + random.next() * (maxMs - minMs);
  await sleep(Math.max(0, dueAt - performance.now()));
  const database = i % books.length;
  const tick = books[database]?.addEntry();
  lines.push(JSON.stringify({ database, tick, atNs: process.hrtime.bigint().toString() }));
}
process.stdout.write(`${lines.join("\n")}\n`);
process.stdin.once("end", () => process.exit(0)).resume();
