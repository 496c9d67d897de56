/** CL1, CL3, D6: exit status, streams and messages of the command line that scripts rely on. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { run } from "../harness/program.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { scenario } from "../harness/scenario.ts";
import type { PeerVerdict } from "../harness/scenario.ts";

/** Command lines that fail or print without touching anything: status, and what the first line of a stream says. */
const commandLines: readonly (readonly [
  readonly string[],
  number,
  "stdout" | "stderr",
  RegExp,
  PeerVerdict?,
])[] = [
  [["version"], 0, "stdout", /^v?\d+\.\d+\.\d+/],
  [[], 1, "stdout", /litestream/i],
  [["help"], 0, "stdout", /litestream/i],
  [["-h"], 0, "stdout", /litestream/i],
  [["replicate", "-h"], 0, "stdout", /replicate/],
  [["restore", "-help"], 0, "stdout", /restore/],
  [["nonsense"], 1, "stderr", /litestream nonsense: unknown command/],
  [["restore"], 1, "stderr", /database path or replica URL required/],
  [["restore", "file:///nowhere"], 1, "stderr", /-o is required when restoring from a replica URL/],
  [
    ["restore", "-txid", "xyz", "-o", "out", "file:///nowhere"],
    1,
    "stderr",
    /invalid txid format|invalid value/,
  ],
  [["restore", "-unknown-flag"], 1, "stderr", /flag provided but not defined: -unknown-flag/],
  [["replicate", "/tmp/only-a-database"], 1, "stderr", /must specify at least one replica URL/],
  [
    ["replicate", "-config", "/nonexistent.yml"],
    1,
    "stderr",
    /config file not found: \/nonexistent.yml/,
  ],
  [
    ["replicate", "-once", "-exec", "true", "/tmp/x", "file:///tmp/y"],
    1,
    "stderr",
    /cannot specify -once flag with -exec/,
  ],
  [
    ["replicate", "-force-snapshot", "/tmp/x", "file:///tmp/y"],
    1,
    "stderr",
    /cannot specify -force-snapshot flag without -once/,
  ],
];

for (const [args, status, stream, pattern, peer = "passes"] of commandLines) {
  scenario(`CL1 D6 litestream ${args.join(" ")}`, { peer }, async ({ program }) => {
    const outcome = await run(program, args);
    assert.equal(outcome.code, status, outcome.stdout + outcome.stderr);
    assert.match(outcome[stream], pattern);
    if (status === 0) assert.equal(outcome.stderr, "");
  });
}

scenario(
  "CL1 -once: exit 0 and upstream's log lines on stdout",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const replication = new Replication({ program, scratch });
    await using application = await replication.application();
    await application.transact(1);
    const { stdout, stderr } = await replication.once();
    assert.equal(stderr, "");
    const messages = [
      "initialized db",
      "replicating to",
      "syncing database",
      "one-shot replication complete",
      "litestream shut down",
    ];
    let from = 0;
    for (const message of messages) {
      const at = stdout.indexOf(`msg="${message}"`, from);
      assert.ok(at >= 0, `No "${message}" after what came before:\n${stdout}`);
      from = at;
    }
  },
);

scenario(
  "CL1 -once without a database: exit 1",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const { code, stderr } = await run(program, [
      "replicate",
      "-once",
      scratch.path("missing.db"),
      filePlace(scratch.path("replica")).url,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /missing\.db/);
  },
);

scenario(
  "CL3 a configuration with several mistakes: exit 1 before anything is touched",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const config = scratch.path("bad.yml");
    writeFileSync(
      config,
      "snapshot:\n  interval: 0s\ndbs:\n  - path: /tmp/x\n    monitor-interval: fast\n    replica:\n      type: nonsense\n",
    );
    const { code, stderr } = await run(program, ["replicate", "-config", config]);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: \S/);
  },
);

scenario(
  "CL1 restore of nothing: exit 1, and 0 with -if-replica-exists",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const { url } = filePlace(scratch.inFolder("empty", ""));
    const plain = await run(program, ["restore", "-o", scratch.path("out.db"), url]);
    assert.equal(plain.code, 1);
    assert.match(plain.stderr, /no matching backup files available/);
    const lenient = await run(program, [
      "restore",
      "-if-replica-exists",
      "-o",
      scratch.path("out.db"),
      url,
    ]);
    assert.equal(lenient.code, 0);
    assert.match(lenient.stdout, /no matching backups found/);
  },
);

scenario(
  "CL1 a restore says one thing on stderr and nothing on stdout; with -json only JSON on stdout",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const replication = new Replication({ program, scratch });
    await using application = await replication.application();
    await application.transact(3);
    await replication.once();
    const text = await run(program, [
      "restore",
      "-o",
      scratch.path("text.db"),
      replication.place.url,
    ]);
    assert.equal(text.code, 0);
    assert.equal(text.stdout, "");
    const json = await run(program, [
      "restore",
      "-json",
      "-o",
      scratch.path("json.db"),
      replication.place.url,
    ]);
    assert.equal(json.code, 0);
    const summary = JSON.parse(json.stdout) as Record<string, unknown>;
    assert.deepEqual(
      [
        summary["db_path"],
        summary["replica"],
        typeof summary["txid"],
        typeof summary["duration_ms"],
      ],
      [scratch.path("json.db"), "file", "string", "number"],
    );
  },
);
