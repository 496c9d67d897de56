/** D5: both programs compact, snapshot and retire one replica by turns; each restores what the other left, and goes on with it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertIntegrity, assertSamePages, readImage } from "../harness/database-image.ts";
import { peer, programUnderTest, run } from "../harness/program.ts";
import type { Program } from "../harness/program.ts";
import { listLevel } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";

const globals = {
  levels: "[{interval: 1s}, {interval: 2s}, {interval: 4s}]",
  snapshot: "{interval: 5s, retention: 8s}",
  "l0-retention": "2s",
  "l0-retention-check-interval": "1s",
};
const quick = { "min-checkpoint-page-count": 30, "checkpoint-interval": "300ms" };

for (const order of ["ours first", "the peer first"]) {
  test(
    `levels, snapshots and retention by turns, ${order}`,
    { timeout: 180_000 },
    async (context) => {
      using scratch = new Scratch("levels-interop");
      const folder = scratch.path("replica");
      const place = filePlace(folder);
      const both = [programUnderTest(), peer()] as const;
      const turns = order === "ours first" ? both : ([both[1], both[0]] as const);
      const common = {
        scratch,
        place,
        id: "shared",
        database: scratch.path("app.db"),
        settings: quick,
        globals,
      };
      const replications = turns.map((program) => new Replication({ ...common, program }));
      await using application = await (replications[0] as Replication).application({
        cacheSize: 20,
      });
      await application.transact(40);
      for (let turn = 0; turn < 4; turn++) {
        const replication = replications[turn % 2] as Replication;
        {
          await using daemon = replication.start();
          for (let step = 0; step < 14; step++) {
            await application.transact(2);
            await sleep(500);
          }
          const { code } = await daemon.stop();
          assert.equal(code, 0, daemon.output);
          assert.doesNotMatch(daemon.output, /level=ERROR/);
        }
        const counts = Array.from({ length: 10 }, (_, level) => listLevel(folder, level).length);
        context.diagnostic(
          `after turn ${turn} of ${replication.program.name}: ${counts.join(" ")}`,
        );
        assert.ok(
          (counts[9] ?? 0) >= 1 && (counts[1] ?? 0) >= 1 && (counts[3] ?? 0) >= 1,
          counts.join(" "),
        );
        const latest = await restoreAlike(both, place.url, scratch, []);
        assertSamePages(
          latest,
          readImage(replication.database, scratch.path("source")),
          `turn ${turn}`,
        );
        await compareEveryEnd(both, folder, place.url, scratch);
      }
    },
  );
}

/** Both restore the end of every file, or both say that it cannot be reached any more. */
async function compareEveryEnd(
  programs: readonly Program[],
  folder: string,
  url: string,
  scratch: Scratch,
): Promise<void> {
  const ends = new Set<number>();
  for (let level = 0; level <= 9; level++)
    for (const { maxTXID } of listLevel(folder, level)) ends.add(maxTXID);
  const all = [...ends].toSorted((a, b) => a - b);
  let restored = 0;
  for (const txid of all.filter((_, index) => index % Math.ceil(all.length / 12) === 0)) {
    const flags = ["-txid", txid.toString(16).padStart(16, "0")];
    const outcomes = await Promise.all(
      programs.map((program, index) => {
        const output = scratch.path(`state-${txid}-${index}`);
        return run(program, ["restore", ...flags, "-o", output, url]);
      }),
    );
    const codes = outcomes.map(({ code }) => code);
    assert.equal(
      codes[0],
      codes[1],
      `TXID ${txid}: ${outcomes.map(({ stderr }) => stderr).join("")}`,
    );
    if (codes[0] !== 0) continue;
    restored++;
    const [byUs, byPeer] = programs.map((_, index) =>
      readFileSync(scratch.path(`state-${txid}-${index}`)),
    );
    assert.ok(byUs !== undefined && byPeer !== undefined);
    assertSamePages(byUs, byPeer, `TXID ${txid}`);
    assertIntegrity(scratch.path(`state-${txid}-0`));
  }
  assert.ok(restored > 3, `only ${restored} states could be restored`);
}

async function restoreAlike(
  programs: readonly Program[],
  from: string,
  scratch: Scratch,
  flags: readonly string[],
): Promise<Buffer> {
  const images = await Promise.all(
    programs.map((program, index) =>
      restore({ program, from, output: scratch.path(`restored-${index}`), flags }),
    ),
  );
  const [byUs, byPeer] = images;
  assert.ok(byUs !== undefined && byPeer !== undefined);
  assertSamePages(byUs, byPeer, `Restored by both ${flags.join(" ")}`);
  assertIntegrity(scratch.path("restored-0"));
  return byUs;
}
