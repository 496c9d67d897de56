import { DatabaseSync } from "node:sqlite";
import type { Order } from "./orders.ts";

export interface Inspection {
  /** Numbers of confirmed orders that are not there, or not as they were. */
  readonly missing: readonly number[];
  /** How many of the others are there. */
  readonly others: number;
  /** What is wrong with the database as a whole, in words. */
  readonly problems: readonly string[];
}

/** Compares a restored shop with what the world outside remembers: its first `confirmed` orders must be there. */
export function inspectRestored(
  file: string,
  committed: readonly Order[],
  confirmed: number,
): Inspection {
  const db = new DatabaseSync(file, { readOnly: true });
  const problems: string[] = [];
  const check = db.prepare("pragma integrity_check").get()?.["integrity_check"];
  if (check !== "ok") problems.push(`SQLite's integrity check says: ${String(check)}`);
  const rows = db.prepare("select number, customer, product, cents from orders order by number");
  const restored = rows.all().map(({ number, customer, product, cents }) =>
    describe({
      number: Number(number),
      customer: String(customer),
      product: Number(product),
      cents: Number(cents),
    }),
  );
  db.close();
  const wrong = committed
    .filter((order, index) => index < restored.length && restored[index] !== describe(order))
    .map(({ number }) => number);
  if (wrong.length > 0) problems.push(`Orders differ from what was committed: ${wrong.join(", ")}`);
  const missing = committed
    .slice(0, confirmed)
    .filter((order, index) => restored[index] !== describe(order))
    .map(({ number }) => number);
  return { missing, others: Math.max(0, restored.length - confirmed), problems };
}

function describe({ number, customer, product, cents }: Order): string {
  return `${number}: ${customer} buys ${product} for ${cents}`;
}
