import assert from "node:assert/strict";
import { test } from "node:test";
import { abortable, mapInOrder, raceAbort } from "./abortable.ts";

const reason = new Error("enough");

async function* numbers(
  count: number,
  onReturn: () => void = () => undefined,
): AsyncGenerator<number> {
  try {
    for (let number = 1; number <= count; number += 1) yield number;
  } finally {
    onReturn();
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

test("abortable() passes everything on and ends its source when it is left", async () => {
  const { signal } = new AbortController();
  assert.deepEqual(await all(abortable(numbers(3), signal)), [1, 2, 3]);
  let returned = 0;
  for await (const _number of abortable(
    numbers(3, () => (returned += 1)),
    signal,
  ))
    break;
  assert.equal(returned, 1);
});

test("abortable() rejects with the reason while its source hangs", async () => {
  const controller = new AbortController();
  const hanging: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
  };
  setTimeout(() => controller.abort(reason), 5);
  await assert.rejects(all(abortable(hanging, controller.signal)), (error) => error === reason);
  await assert.rejects(
    all(abortable(hanging, AbortSignal.abort(reason))),
    (error) => error === reason,
  );
});

test("abortable() passes the failure of its source on", async () => {
  const failing: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(reason) }),
  };
  await assert.rejects(
    all(abortable(failing, new AbortController().signal)),
    (error) => error === reason,
  );
});

test("raceAbort() does not wait for a promise after an abort", async () => {
  const controller = new AbortController();
  const never = new Promise<number>(() => undefined);
  setTimeout(() => controller.abort(reason), 5);
  await assert.rejects(raceAbort(never, controller.signal), (error) => error === reason);
  assert.equal(await raceAbort(Promise.resolve(1), new AbortController().signal), 1);
});

test("mapInOrder() keeps the order and the width", async () => {
  let now = 0;
  let peak = 0;
  const results = mapInOrder([30, 5, 20, 1, 1], 2, async (ms) => {
    peak = Math.max(peak, (now += 1));
    await new Promise((resolve) => setTimeout(resolve, ms));
    now -= 1;
    return ms;
  });
  assert.deepEqual(await all(results), [30, 5, 20, 1, 1]);
  assert.equal(peak, 2);
});

test("mapInOrder() ends with the first failure, whatever happens behind it", async () => {
  const results = mapInOrder([1, 2, 3, 4], 3, async (number) => {
    if (number > 1) throw new Error(`number ${number}`);
    return number;
  });
  await assert.rejects(all(results), /number 2/);
});
