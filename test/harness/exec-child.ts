/**
 * A child for `-exec`: node exec-child.ts DATABASE MODE. It adds a row to `child` and then
 *   exit N     ends with that status at once
 *   trap N     waits for SIGTERM, adds another row, ends with that status
 */
import { setInterval } from "node:timers";
import { DatabaseSync } from "node:sqlite";

const [path = "", mode = "exit", status = "0"] = process.argv.slice(2);

function addRow(note: string): void {
  using database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec(
    "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS child (note TEXT)",
  );
  database.prepare("INSERT INTO child VALUES (?)").run(note);
}

addRow("started");
if (mode === "exit") process.exit(Number(status));
process.on("SIGTERM", () => {
  addRow("stopping");
  process.exit(Number(status));
});
console.log("child is ready");
setInterval(() => undefined, 1_000);
