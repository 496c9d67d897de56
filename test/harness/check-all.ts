/** Checks of many databases side by side: two at a time, and every failure told. */
import assert from "node:assert/strict";

const concurrency = 2;

/** Runs `check` for every item; fails with all messages at once. */
export async function checkAll<T>(
  items: readonly T[],
  name: (item: T) => string,
  check: (item: T) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  const queue = items.values();
  const work = async (): Promise<void> => {
    for (const item of queue) {
      try {
        await check(item);
      } catch (error) {
        failures.push(`${name(item)}: ${(error as Error).message.split("\n")[0]}`);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  assert.equal(
    failures.length,
    0,
    `${failures.length} of ${items.length} failed: ${failures.slice(0, 30).join("\n")}`,
  );
}
