import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { WriteBody } from "../replica-client.ts";
import { bodyParts, uploadParts } from "./multipart.ts";
import type { MultipartUpload } from "./multipart.ts";

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // Every chunk in the same memory, as a source may do that reuses its buffer.
  const memory = new Uint8Array(size);
  for (let offset = 0; offset < bytes.length; offset += size) {
    const chunk = bytes.subarray(offset, offset + size);
    memory.set(chunk);
    yield memory.subarray(0, chunk.length);
  }
}

async function partsOf(body: WriteBody, size: number): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for await (const part of bodyParts(body, { sizeOfPart: () => size, inFlight: 1 }, undefined))
    parts.push(part);
  return parts;
}

test("bodyParts() cuts every kind of body into the same parts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "multipart-"));
  for (const [sizeBytes, lengths] of [
    [0, [0]],
    [1, [1]],
    [999, [999]],
    [1_000, [1_000]],
    [1_001, [1_000, 1]],
    [3_000, [1_000, 1_000, 1_000]],
  ] as const) {
    const bytes = randomBytes(sizeBytes);
    const path = join(folder, `${sizeBytes}`);
    await writeFile(path, bytes);
    const bodies: WriteBody[] = [
      { kind: "bytes", bytes },
      { kind: "file", path, sizeBytes },
      { kind: "stream", chunks: chunksOf(bytes, 1) },
      { kind: "stream", chunks: chunksOf(bytes, 700) },
      { kind: "stream", chunks: chunksOf(bytes, 2_500) },
    ];
    for (const body of bodies) {
      const parts = await partsOf(body, 1_000);
      assert.deepEqual(
        parts.map(({ length }) => length),
        lengths,
        `${body.kind} of ${sizeBytes}`,
      );
      assert.ok(bytes.equals(Buffer.concat(parts)));
    }
  }
  for (const announced of [2_999, 3_001]) {
    const wrong = { kind: "file", path: join(folder, "3000"), sizeBytes: announced } as const;
    await assert.rejects(partsOf(wrong, 1_000), { kind: "corrupt" });
  }
  await rm(folder, { recursive: true });
});

/** An upload whose parts wait for each other. */
class SlowUpload implements MultipartUpload {
  now = 0;
  peak = 0;
  sent: number[] = [];
  completed: number[] | undefined;
  abandoned = 0;
  failAt = 0;

  readonly putPart: MultipartUpload["putPart"] = async (number, _bytes, signal) => {
    this.peak = Math.max(this.peak, (this.now += 1));
    this.sent.push(number);
    // Later parts are faster, so that they finish out of order.
    for (let turn = 0; turn < 20 - number; turn += 1)
      await new Promise((resolve) => setImmediate(resolve));
    this.now -= 1;
    signal.throwIfAborted();
    if (number === this.failAt) throw new Error(`part ${number}`);
    return { number, etag: `etag ${number}` };
  };

  readonly complete: MultipartUpload["complete"] = async (parts) => {
    this.completed = parts.map(({ number }) => number);
  };

  readonly abandon: MultipartUpload["abandon"] = async () => {
    assert.equal(this.now, 0, "parts are still under way");
    this.abandoned += 1;
  };
}

async function* tenBytes(count: number): AsyncGenerator<Uint8Array> {
  for (let number = 1; number <= count; number += 1) yield new Uint8Array(10);
}

test("uploadParts() sends so many parts at once, and completes them in order", async () => {
  for (const inFlight of [1, 3, 20]) {
    const upload = new SlowUpload();
    assert.equal(await uploadParts(upload, tenBytes(10), inFlight), 100);
    assert.equal(upload.peak, Math.min(10, inFlight));
    assert.deepEqual(upload.completed, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(upload.abandoned, 0);
  }
});

test("uploadParts() stops at the first failure, cancels the rest, and only then abandons the upload", async () => {
  const upload = new SlowUpload();
  upload.failAt = 4;
  await assert.rejects(uploadParts(upload, tenBytes(1_000), 3), /^Error: part 4$/);
  assert.ok(upload.sent.length < 10, `${upload.sent.length} parts were sent`);
  assert.deepEqual([upload.completed, upload.abandoned], [undefined, 1]);
});

test("uploadParts() ends with the signal's reason", async () => {
  const upload = new SlowUpload();
  const controller = new AbortController();
  const reason = new Error("enough");
  setImmediate(() => controller.abort(reason));
  await assert.rejects(
    uploadParts(upload, tenBytes(1_000), 3, controller.signal),
    (error) => error === reason,
  );
  assert.deepEqual([upload.completed, upload.abandoned], [undefined, 1]);
});
