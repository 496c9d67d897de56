import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Encrypter, generateIdentity, identityToRecipient } from "age-encryption";
import { StorageError } from "../storage/replica-client.ts";
import type { ObjectsBeside, ReplicaClient } from "../storage/replica-client.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { GENERATION, V3Replica, WALWriter } from "../../test/harness/v3-replica.ts";
import { RestoreError } from "./restore-error.ts";
import { planV3Restore } from "./restore-v3-plan.ts";
import type { V3RestoreTarget } from "./restore-v3-plan.ts";
import { restoreV3 } from "./restore-v3.ts";
import type { V3RestoreOptions, V3RestoreSummary } from "./restore-v3.ts";
import { readV3Inventory } from "./v3-inventory.ts";

/** A source database whose WAL can be seen: image at the start of it, and its raw bytes after each transaction. */
class Source implements Disposable {
  readonly path: string;
  readonly image: Buffer;
  readonly #database: DatabaseSync;

  constructor(scratch: Scratch, sql: string, pageSize = 1024) {
    this.path = scratch.inFolder("source", "app.db");
    this.#database = new DatabaseSync(this.path);
    this.#database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL;
      PRAGMA wal_autocheckpoint = 0; ${sql}`);
    this.image = this.checkpoint();
  }

  exec(sql: string): Buffer {
    this.#database.exec(sql);
    return readFileSync(`${this.path}-wal`);
  }

  /** The next write starts a new WAL. */
  checkpoint(): Buffer {
    this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return readFileSync(this.path);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

interface Case {
  readonly target?: V3RestoreTarget;
  readonly client?: ReplicaClient;
  readonly options?: Partial<V3RestoreOptions>;
}

/** Restores to `out/app.db`; nothing else may be there afterwards, and nothing at all after a failure. */
async function restoreTo(
  scratch: Scratch,
  { client: ownClient }: V3Replica,
  { target = {}, client = ownClient, options = {} }: Case = {},
): Promise<{ readonly bytes: Buffer; readonly summary: V3RestoreSummary }> {
  const outputPath = scratch.inFolder("out", "app.db");
  rmSync(outputPath, { force: true });
  const plan = planV3Restore(await readV3Inventory(client), target);
  try {
    const summary = await restoreV3(client, {
      plan,
      target,
      outputPath,
      parallelism: 4,
      integrityCheck: "full",
      force: false,
      ...options,
    });
    assert.deepEqual(readdirSync(scratch.path("out")), ["app.db"]);
    return { bytes: readFileSync(outputPath), summary };
  } catch (error) {
    assert.deepEqual(readdirSync(scratch.path("out")), []);
    throw error;
  }
}

const TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES ('start')";
const ROWS = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   INSERT INTO t (x) SELECT hex(randomblob(100)) FROM n`;

test("restoreV3() applies several WALs, a shorter one after a longer one, shrinking and growing (OL1)", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const replica = new V3Replica();
  replica.snapshot(5, source.image);
  const states: Buffer[] = [source.image];
  for (const [index, sql] of [
    [5, ROWS(500)],
    [6, "DELETE FROM t WHERE id > 3; VACUUM"],
    [7, ROWS(200)],
  ] as const) {
    const wal = source.exec(sql);
    const middle = 32 + Math.floor((wal.length - 32) / 2);
    replica.segment(index, 0, wal.subarray(0, middle));
    replica.segment(index, middle, wal.subarray(middle));
    states.push(source.checkpoint());
  }
  const sizes = states.map(({ length }) => length);
  assert.ok((sizes[2] ?? 0) < (sizes[1] ?? 0), `it shrinks: ${sizes.join()}`);
  for (const [count, target] of [
    [0, { at: new Date(1000) }],
    [0, { at: new Date(2000) }],
    [1, { index: 5 }],
    [2, { index: 6 }],
    [3, {}],
  ] as const) {
    const { bytes, summary } = await restoreTo(scratch, replica, { target });
    assert.ok(bytes.equals(states[count] ?? Buffer.alloc(0)), `state ${count}`);
    assert.deepEqual(summary.problems, []);
  }
  const { summary } = await restoreTo(scratch, replica);
  const { generation, index, files, sizeBytes, createdAt } = summary;
  assert.deepEqual(
    { generation, index, files, sizeBytes, createdAt },
    {
      generation: GENERATION,
      index: 7,
      files: 7,
      sizeBytes: states[3]?.length,
      createdAt: new Date(7000),
    },
  );
});

test("restoreV3() restores an empty database and one that was empty at its snapshot", async () => {
  using scratch = new Scratch("v3");
  const replica = new V3Replica();
  replica.snapshot(0, new Uint8Array());
  const { bytes } = await restoreTo(scratch, replica);
  assert.equal(bytes.length, 0);
  using source = new Source(scratch, "SELECT 1");
  replica.segment(0, 0, source.exec(TABLE));
  const restored = await restoreTo(scratch, replica);
  assert.ok(restored.bytes.equals(source.checkpoint()));
});

test("restoreV3() accepts segments that overlap with the same bytes, and no others (OL7)", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const wal = source.exec(ROWS(100));
  const expected = source.checkpoint();
  const parts: readonly (readonly [number, number])[] = [
    [0, 9000],
    [4000, 6000],
    [5000, 10_000],
    [8000, wal.length],
  ];
  const good = new V3Replica();
  good.snapshot(0, source.image);
  for (const [from, to] of parts) good.segment(0, from, wal.subarray(from, to));
  const { bytes } = await restoreTo(scratch, good);
  assert.ok(bytes.equals(expected));

  for (const [part, at] of [
    [1, 4000],
    [1, 5999],
    [2, 5000],
    [2, 8999],
    [3, 9999],
  ] as const) {
    const [from, to] = parts[part] ?? [0, 0];
    const other = Buffer.from(wal.subarray(from, to));
    other[at - from] = (other[at - from] ?? 0) ^ 1;
    const bad = new V3Replica();
    bad.snapshot(0, source.image);
    for (const [index, [start, end]] of parts.entries())
      bad.segment(0, start, index === part ? other : wal.subarray(start, end));
    await assert.rejects(restoreTo(scratch, bad), (error) => {
      assert.ok(error instanceof RestoreError);
      assert.equal(error.kind, "damaged");
      assert.match(error.message, /contradicts the segments before it/);
      return true;
    });
  }
});

test("restoreV3() names the position where a segment is missing (OL2)", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const wal = source.exec(ROWS(100));
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  replica.segment(0, 0, wal.subarray(0, 4096));
  replica.segment(0, 4097, wal.subarray(4097));
  await assert.rejects(restoreTo(scratch, replica), (error) => {
    assert.ok(error instanceof RestoreError);
    assert.equal(error.kind, "gap");
    assert.match(
      error.message,
      /expected \w{16}\/00000000:0000000000001000, got \w{16}\/0{8}:0{12}1001/,
    );
    assert.match(error.hint ?? "", /-generation \w{16} -timestamp 1970-01-01T00:00:02.000Z/);
    return true;
  });
});

test("restoreV3() refuses every single flipped bit and every length of a snapshot or segment", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE, 512);
  const wal = source.exec("INSERT INTO t (x) VALUES (1)");
  const whole = new V3Replica();
  whole.snapshot(0, source.image);
  whole.segment(0, 0, wal);
  for (const [name, object] of whole.client.objects) {
    const { length } = object.bytes;
    const damaged: Uint8Array[] = [];
    for (let at = 0; at < length; at += at < 16 || at > length - 16 ? 1 : 97) {
      const flipped = Buffer.from(object.bytes);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      damaged.push(flipped, object.bytes.subarray(0, at));
    }
    damaged.push(Buffer.concat([object.bytes, Buffer.alloc(1)]));
    for (const bytes of damaged) {
      whole.client.objects.set(name, { ...object, bytes });
      await assert.rejects(
        restoreTo(scratch, whole, { options: { integrityCheck: "none" } }),
        (error) => error instanceof RestoreError && error.kind === "damaged",
      );
    }
    whole.client.objects.set(name, object);
  }
  const { bytes } = await restoreTo(scratch, whole);
  assert.ok(bytes.equals(source.checkpoint()));
});

test("restoreV3() leaves out what SQLite leaves out, and says so where it is unusual", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const first = source.exec(ROWS(50));
  const expected = source.checkpoint();
  const old = new WALWriter(1024, [7, 8]);
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  replica.segment(0, 0, Buffer.concat([first, old.frame(1, new Uint8Array(1024), 1)]));
  const stale = await restoreTo(scratch, replica);
  assert.ok(stale.bytes.equals(expected));
  assert.match(stale.summary.problems.join(), /WAL 00000000 of .* 1048 bytes of an earlier WAL/);

  const unfinished = new V3Replica();
  unfinished.snapshot(0, source.image);
  unfinished.segment(0, 0, Buffer.concat([first, Buffer.alloc(24)]));
  const last = await restoreTo(scratch, unfinished);
  assert.ok(last.bytes.equals(expected));
  assert.deepEqual(last.summary.problems, [], "nothing unusual at the end of the last WAL");
  unfinished.segment(1, 0, source.exec(ROWS(1)));
  const later = await restoreTo(scratch, unfinished);
  assert.ok(later.bytes.equals(source.checkpoint()));
  assert.match(later.summary.problems.join(), /WAL 00000000 of .* 24 bytes of an unfinished/);
});

test("restoreV3() refuses a WAL of another page size and a snapshot that is no database", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  replica.segment(0, 0, new WALWriter(512).header);
  await assert.rejects(restoreTo(scratch, replica), /pages of 512 bytes, the database of 1024/);
  const other = new V3Replica();
  other.snapshot(0, Buffer.alloc(1024, 1));
  await assert.rejects(restoreTo(scratch, other), /Snapshot .* is damaged/);
});

test("restoreV3() decrypts with any of the keys, and takes no plain object in their place (OL5)", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, `${TABLE}; ${ROWS(20_000)}`, 4096);
  const plain = new V3Replica();
  plain.snapshot(0, source.image);
  plain.segment(0, 0, source.exec(ROWS(10)));
  const expected = source.checkpoint();
  const [key, other] = [await generateIdentity(), await generateIdentity()];
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(key));
  const encrypted = new V3Replica();
  for (const [name, { bytes }] of plain.client.objects)
    encrypted.put(name, await encrypter.encrypt(bytes));

  const { bytes } = await restoreTo(scratch, encrypted, withKeys(`# a comment\n${other}\n`, key));
  assert.ok(bytes.equals(expected));
  for (const [replica, options, message] of [
    [encrypted, withKeys(), /is encrypted with age/],
    [encrypted, withKeys(other), /cannot be decrypted with age: .*no identity matched/],
    [encrypted, withKeys("age1public"), /Invalid age identity/],
    [plain, withKeys(key), /is not encrypted, although age\.identities is set/],
  ] as const) {
    await assert.rejects(restoreTo(scratch, replica, options), (error) => {
      assert.ok(error instanceof RestoreError);
      assert.match(error.message, message);
      assert.ok(error.hint);
      return true;
    });
  }
  const [name, object] = [...encrypted.client.objects][0] ?? assert.fail();
  encrypted.client.objects.set(name, { ...object, bytes: object.bytes.subarray(0, -100) });
  await assert.rejects(restoreTo(scratch, encrypted, withKeys(key)), RestoreError);
});

test("restoreV3() tells an object that vanished, and a storage that fails, from a damaged one", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  replica.segment(0, 0, source.exec(ROWS(10)));
  const beside = besideOf(replica.client);
  const failing = (error: Error): ReplicaClient =>
    withBeside(replica.client, {
      ...besideMethods(beside),
      async *read(name, options) {
        if (name.includes("/wal/")) throw error;
        yield* beside.read(name, options);
      },
    });
  await assert.rejects(
    restoreTo(scratch, replica, { client: failing(new StorageError("not-found", "gone")) }),
    (error) => error instanceof RestoreError && /is missing: it was listed/.test(error.message),
  );
  const down = new StorageError("unavailable", "down");
  await assert.rejects(
    restoreTo(scratch, replica, { client: failing(down) }),
    (error) => error === down,
  );
});

test("restoreV3() reads large objects as streams and stops when it is told to", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, `${TABLE}; ${ROWS(20_000)}`, 4096);
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  assert.ok(source.image.length > 3_000_000);
  replica.segment(0, 0, source.exec("UPDATE t SET x = x || 'y'"));
  const seen: number[] = [];
  let reports = 0;
  const { bytes, summary } = await restoreTo(scratch, replica, {
    options: { onProgress: (state) => void (state.phase === "read" && seen.push(state.bytesRead)) },
  });
  assert.ok(bytes.equals(source.checkpoint()));
  assert.equal(seen.at(-1), summary.bytesRead);
  assert.ok(seen.length > 50, `${seen.length} reports`);
  const reason = new Error("stop");
  const stop = new AbortController();
  const onProgress = (): void => {
    reports += 1;
    if (reports > 20) stop.abort(reason);
  };
  await assert.rejects(
    restoreTo(scratch, replica, { options: { signal: stop.signal, onProgress } }),
    (error) => error === reason,
  );
});

test("restoreV3() asks for several objects at a time, and no more than it may", async () => {
  using scratch = new Scratch("v3");
  using source = new Source(scratch, TABLE);
  const replica = new V3Replica();
  replica.snapshot(0, source.image);
  for (let index = 0; index < 20; index++) {
    replica.segment(index, 0, source.exec(ROWS(1)));
    source.checkpoint();
  }
  let now = 0;
  let most = 0;
  const beside = besideOf(replica.client);
  const client = withBeside(replica.client, {
    ...besideMethods(beside),
    async *read(name, options) {
      most = Math.max(most, ++now);
      try {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield* beside.read(name, options);
      } finally {
        now -= 1;
      }
    },
  });
  const { bytes } = await restoreTo(scratch, replica, { client });
  assert.ok(bytes.equals(source.checkpoint()));
  assert.equal(most, 4);
});

function withKeys(...ageIdentities: string[]): Case {
  return { options: { ageIdentities } };
}

function besideOf(client: ReplicaClient): ObjectsBeside {
  assert.ok(client.beside);
  return client.beside;
}

function besideMethods(beside: ObjectsBeside): ObjectsBeside {
  return {
    list: (folder, options) => beside.list(folder, options),
    read: (name, options) => beside.read(name, options),
    write: (name, bytes, options) => beside.write(name, bytes, options),
    delete: (name, options) => beside.delete(name, options),
  };
}

/** The same client with other access to what lies beside the levels. */
function withBeside(client: ReplicaClient, beside: ObjectsBeside): ReplicaClient {
  return new Proxy(client, {
    get: (target, key): unknown => (key === "beside" ? beside : Reflect.get(target, key, target)),
  });
}
