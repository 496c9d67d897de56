/** docs/monitoring.md lists the metrics that there are. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { METRICS } from "../src/service/metrics/metric-table.ts";

test("docs/monitoring.md names every metric with its type, labels and meaning", () => {
  const text = readFileSync(resolve(import.meta.dirname, "../docs/monitoring.md"), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  const expected = Object.entries(METRICS).map(
    ([name, { type, labels, help }]) =>
      `| \`${name}\` | ${type} | ${labels.join(", ")} | ${help} |`,
  );
  assert.deepEqual(rows, expected);
});
