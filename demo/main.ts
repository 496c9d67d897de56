/**
 * A shop takes orders, its machine dies, and every order that was confirmed to a customer is there again.
 *
 *   npm run demo                       a replica in a temporary folder
 *   npm run demo -- s3://bucket/path   a replica in a real bucket, below a new prefix that is emptied at the end;
 *                                      credentials as for litestream itself (AWS_ACCESS_KEY_ID, …)
 *
 * Replication is asynchronous: what was committed in the last moment before a crash may be lost. So the shop's orders are
 * confirmed to their customers only when they stand in the replica, which this program finds out by reading the
 * replica. Exit status 1 when a confirmed order is missing or wrong afterwards.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { confirmOrders } from "./confirmation.ts";
import { inspectRestored } from "./inspection.ts";
import { INTERVAL, Machine, restore } from "./machine.ts";
import { bold, detail, fail, live, pass, scene, title } from "./page.ts";
import { ReplicaView } from "./replica-view.ts";

const TRADING_MS = 6000;
const FIRST_COPY_LIMIT_MS = 30_000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "litestream-demo-"));
const logFile = path.join(folder, "litestream.log");
const machine = new Machine(path.join(folder, "machine"), logFile);
process.once("SIGINT", () => process.exit(130));
process.once("exit", () => {
  machine.kill();
  fs.rmSync(folder, { recursive: true, force: true });
});
try {
  if (!(await play(replicaURL(process.argv[2])))) process.exitCode = 1;
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
  console.error(fs.readFileSync(logFile, "utf8").trimEnd());
  process.exitCode = 1;
}
process.exit();

/** Plays the whole story; true when nothing confirmed was lost. */
async function play(url: string): Promise<boolean> {
  title("A shop takes orders. Its machine dies. No confirmed order is lost.");

  scene("The shop opens");
  const products = await machine.openShop();
  const { size } = fs.statSync(machine.database);
  detail(`${products.toLocaleString("en")} products, a SQLite database of ${megabytes(size)}`);

  scene("litestream replicate copies it");
  detail(`$ ${machine.startReplication(url)}`);
  detail(`replica: ${url}, intervals: ${INTERVAL}`);
  await using view = await ReplicaView.open(url);
  try {
    return await loseAndRestore(url, view);
  } finally {
    await view.clear();
  }
}

async function loseAndRestore(url: string, view: ReplicaView): Promise<boolean> {
  scene("Orders come in, each confirmed to its customer once it stands in the replica");
  const confirmations = await confirmOrders(
    machine,
    view,
    TRADING_MS,
    FIRST_COPY_LIMIT_MS,
    (count) => live(`${machine.committed.length} orders committed, ${count} confirmed`),
  );
  await machine.die();
  const orders = machine.committed.map(({ order }) => order);
  const { count } = confirmations;
  detail(`${orders.length} orders committed, ${bold(`${count} confirmed`)}`);
  detail(`from commit to confirmation: ${summary(confirmations.lagsMs)}`);

  scene("The machine dies");
  detail(
    "kill -9 of the shop and of litestream; database, WAL and everything else on its disk erased",
  );

  scene("litestream restore brings the shop back on a new machine");
  const output = path.join(folder, "new-machine", "shop.db");
  fs.mkdirSync(path.dirname(output));
  detail(`$ litestream restore -o ${output} ${url}`);
  const tookMs = await restore(url, output, logFile);
  const seconds = bold(`${(tookMs / 1000).toFixed(2)} s`);
  detail(`${megabytes(fs.statSync(output).size)} in ${seconds}`);

  scene("The customers come back");
  const { missing, others, problems } = inspectRestored(output, orders, count);
  if (missing.length === 0) pass(`all ${count} confirmed orders are there, to the cent`);
  else fail(`${missing.length} of ${count} confirmed orders are missing: ${missing.join(", ")}`);
  const waiting = orders.length - count;
  if (waiting > 0)
    detail(`  of ${waiting} more, committed but not yet confirmed, ${others} are there`);
  if (problems.length === 0) pass("SQLite's integrity check finds nothing wrong");
  for (const problem of problems) fail(problem);
  console.log();
  return missing.length === 0 && problems.length === 0;
}

/** A place for this run: a temporary folder, or a new prefix below the URL that was given. */
function replicaURL(base: string | undefined): string {
  if (base === undefined) return `file://${path.join(folder, "replica")}`;
  const url = new URL(base);
  url.pathname = path.posix.join(url.pathname || "/", `demo-${Date.now()}`);
  return url.href;
}

function summary(lagsMs: readonly number[]): string {
  const sorted = lagsMs.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(0);
  return `${bold(`${at(0.5)} ms`)} median, ${at(1)} ms longest`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
