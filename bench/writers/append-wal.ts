/**
 * An application that appends transactions to the WAL until it has the wanted size, then dies without closing the
 * database, so that the WAL stays: `node append-wal.ts DB BYTES`.
 */
import fs from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { SeededRandom } from "../data.ts";

const [file = "", sizeText = ""] = process.argv.slice(2);
const wantedBytes = Number(sizeText);
if (!file || !(wantedBytes > 0)) throw new TypeError("Usage: append-wal.ts DB BYTES");

const db = new DatabaseSync(file);
db.exec("pragma journal_mode=wal; pragma wal_autocheckpoint=0; pragma synchronous=off");
db.exec("pragma cache_size=-100000; pragma busy_timeout=30000");
const random = new SeededRandom(99);
const users = maxID("users");
const orders = maxID("orders");
let events = maxID("events");
const updateUser = db.prepare("update users set balance=balance+?, flags=? where id=?");
const updateOrder = db.prepare("update orders set status=? where id=?");
const insertEvent = db.prepare(
  "insert into events select ?,?,kind,at,payload from events where id=?",
);

do transaction();
while (fs.statSync(`${file}-wal`).size < wantedBytes);
process.kill(process.pid, "SIGKILL");

function transaction(): void {
  db.exec("begin immediate");
  for (let count = 1 + random.below(20); count > 0; count--) {
    updateUser.run(random.next() * 10, random.below(8), lowID(users));
    updateOrder.run(random.pick(["pending", "paid", "shipped"]), lowID(orders));
    insertEvent.run(++events, 1 + random.below(orders), 1 + random.below(events - 100));
  }
  db.exec("commit");
}

/** Low ids are more frequent: a hot part of the database, as in real use. */
function lowID(limit: number): number {
  return 1 + Math.floor(limit * random.next() * random.next());
}

function maxID(table: string): number {
  return Number(db.prepare(`select max(id) as id from ${table}`).get()?.["id"]);
}
