/**
 * The application of the demo: a shop that takes orders into a SQLite database, as any application would. It knows
 * nothing of replication. `node shop.ts DB`, forked: it reports each committed order to its parent.
 */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { formatOrderCode } from "./orders.ts";
import type { Order, ShopMessage } from "./orders.ts";

const PRODUCTS = 60_000;
const CUSTOMERS = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Tony", "Margaret"];
const ADJECTIVES = ["blue", "small", "folding", "sturdy", "quiet", "light", "round", "warm"];
const THINGS = ["lamp", "kettle", "chair", "tent", "clock", "bicycle", "blanket", "radio"];
/** About 40 orders a second, at random. */
const LONGEST_PAUSE_MS = 50;

const [file] = process.argv.slice(2);
if (!file || !process.send) throw new TypeError("Usage: fork shop.ts with the path of a database");
const db = new DatabaseSync(file, { timeout: 5000 });
db.exec("pragma journal_mode=wal; pragma synchronous=normal");
stockShelves();
tell({ type: "open", products: PRODUCTS });
const insertOrder = db.prepare("insert into orders values(?,?,?,?,?,?)");
const takeFromStock = db.prepare("update products set stock = stock - 1 where id = ?");
for (let number = 1; ; number++) {
  await sleep(Math.random() * LONGEST_PAUSE_MS);
  placeOrder({
    number,
    customer: pick(CUSTOMERS),
    product: 1 + Math.floor(Math.random() * PRODUCTS),
    cents: 100 + Math.floor(Math.random() * 20_000),
  });
}

function placeOrder(order: Order): void {
  const { number, customer, product, cents } = order;
  db.exec("begin immediate");
  insertOrder.run(number, formatOrderCode(number), customer, product, cents, Date.now());
  takeFromStock.run(product);
  db.exec("commit");
  tell({ type: "committed", order, atNs: process.hrtime.bigint().toString() });
}

function stockShelves(): void {
  db.exec(`
    create table products(id integer primary key, name text, description text, cents integer, stock integer);
    create table orders(number integer primary key, code text, customer text, product integer, cents integer, placed_at integer);
    begin`);
  const insert = db.prepare("insert into products values(?,?,?,?,?)");
  for (let id = 1; id <= PRODUCTS; id++) {
    const name = `${pick(ADJECTIVES)} ${pick(THINGS)} no. ${id}`;
    const description = Array.from(
      { length: 40 },
      () => `${pick(ADJECTIVES)} ${pick(THINGS)}`,
    ).join(", ");
    insert.run(id, name, description, 100 + Math.floor(Math.random() * 20_000), 1000);
  }
  db.exec("commit");
}

function pick(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}

function tell(message: ShopMessage): void {
  process.send?.(message);
}
